/** A number of things in words: `1 client`, `1,234 clients`. */
export function counted(number: number, thing: string): string {
  return `${number.toLocaleString('en')} ${thing}${number === 1 ? '' : 's'}`;
}
