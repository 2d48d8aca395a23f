import { fixture, startCommand } from '../harness/processes.ts';

/** Runs the fixture linux/child-program to its end, itself or below another command. Returns what it prints, parsed. */
export async function runChild(name: string, below: readonly string[] = []): Promise<unknown> {
  await using child = startCommand([...below, process.execPath, fixture('linux/child-program'), name]);
  const { code, stdout, stderr } = await child.ended;
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}
