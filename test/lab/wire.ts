import { AppliedRule } from './applied-rule.ts';
import type { Rule, Shape, WireStats } from './rule.ts';
import type { WireControl } from './wire-control.ts';

/** What joins the two hosts. */
export class Wire {
  readonly #control: WireControl;
  #rules = 0;

  constructor(control: WireControl) {
    this.#control = control;
  }

  /** Changes delay or loss from now on; what is left out stays. Packets underway keep their delay. */
  async shape(settings: Shape): Promise<void> {
    await this.#control.ask({ ask: 'shape', shape: settings });
  }

  /** Puts a rule in force; once this resolves it sees every packet that arrives. Rules are asked in the order of their making. */
  async rule(rule: Rule): Promise<AppliedRule> {
    const id = ++this.#rules;
    const applied = new AppliedRule(this.#control, id);
    // JSON knows no Infinity.
    const count = Math.min(rule.count ?? 1, Number.MAX_SAFE_INTEGER);
    await this.#control.ask({ ask: 'rule', id, rule: { ...rule, count } });
    return applied;
  }

  async stats(): Promise<WireStats> {
    const stats = await this.#control.ask({ ask: 'stats' });
    if (stats === null || typeof stats !== 'object')
      throw new TypeError(`Expected the wire's stats, got \`${JSON.stringify(stats)}\``);
    return stats;
  }
}
