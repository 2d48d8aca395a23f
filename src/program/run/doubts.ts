import type { StopReport } from '../report.ts';
import { ENDED_BEFORE } from '../stop/lost-answers.ts';
import type { ServiceChannel } from './service-channel.ts';

/** What only the parent of a program, or the program itself, knows of its end. */
export interface KnownOfEnd {
  /** The stop signal. */
  readonly signal: NodeJS.Signals;
  /** Whether its gates were left to it. */
  readonly isLeftAlone: boolean;
  readonly channel: ServiceChannel | undefined;
}

/** The doubts about a program that has ended below `lastcall run`, a sentence each. */
export function doubtsAbout(report: StopReport, { signal, isLeftAlone, channel }: KnownOfEnd): readonly string[] {
  const { outcome, program, signalled } = report;
  const doubts: string[] = [];
  // By process.exit() or an error.
  if (channel?.hasEndedEarly === true && signalled !== undefined && outcome !== 'killed')
    doubts.push('it ended before its own close was over: what it was doing is lost');
  if (channel?.wasForced === true) doubts.push('by its own report clients were lost, or may have been');
  if (isLeftAlone && signalled === undefined && channel?.hasClosed !== true) doubts.push(ENDED_BEFORE);
  if (outcome === 'complete' && program.signal !== undefined && program.signal !== signal)
    doubts.push(`${program.signal} ended it, which lastcall had not sent: what it was doing is lost`);
  return doubts;
}
