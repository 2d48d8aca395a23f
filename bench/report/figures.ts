import type { ChannelFigures } from '../parts/channel.ts';
import type { DeliveryFigures } from '../parts/delivery.ts';
import type { IdleFigures } from '../parts/idle.ts';
import type { ImportFigures } from '../parts/imports.ts';
import type { Machine } from './machine.ts';
import type { MemoryFigures } from '../parts/memory.ts';
import type { QueueFigures } from '../parts/queues.ts';
import type { RefusedFigures } from '../parts/refused.ts';
import type { RunFigures } from '../parts/runs.ts';
import type { ServingFigures } from '../parts/serving.ts';
import type { StopFigures } from '../parts/stops.ts';
import type { UsualFigures } from '../parts/usual.ts';
import type { WatchFigures } from '../parts/watching.ts';

/** All that one run measured; `--json` prints it. A part that was left out has no figures. */
export interface Figures {
  readonly machine: Machine;
  readonly stops: readonly StopFigures[];
  readonly queues: readonly QueueFigures[];
  readonly idle: readonly IdleFigures[];
  readonly memory: readonly MemoryFigures[];
  readonly delivery: readonly DeliveryFigures[];
  readonly refused: readonly RefusedFigures[];
  readonly serving: readonly ServingFigures[];
  readonly imports: readonly ImportFigures[];
  readonly runs: readonly RunFigures[];
  readonly watching: readonly WatchFigures[];
  readonly channel: readonly ChannelFigures[];
  readonly usual: readonly UsualFigures[];
  readonly goals: readonly Goal[];
}

export interface Goal {
  readonly title: string;
  readonly goal: string;
  readonly measured: string;
  /** Undecided: the goal lies within what the measurement leaves open. */
  readonly verdict: 'met' | 'missed' | 'undecided';
}
