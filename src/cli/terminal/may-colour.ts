/** Whether standard output shows colours: a terminal that has them, and no NO_COLOR (no-color.org). */
export function mayColour(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors() && (process.env.NO_COLOR ?? '') === '';
}
