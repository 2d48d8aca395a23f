import { setTimeout as sleep } from 'node:timers/promises';
import { LineClient } from './line-client.ts';

/** What one SMTP client saw. */
export interface SmtpOutcome {
  /** Messages whose text it sent to the end, and those of them that were accepted. */
  readonly sent: number;
  readonly accepted: number;
  /** How its last message ended, if that was not accepted. */
  readonly cutIn: string | undefined;
  /** Whether it was told 421. */
  readonly told: boolean;
  /** `221` to its QUIT and then the end of the stream, or what came instead. */
  readonly goodbye: string;
}

/** Sends one message after the other until it is told 421, and then says QUIT. */
export class SmtpClient {
  readonly outcome: Promise<SmtpOutcome>;
  /** Its MAIL was accepted, and the end of the message was not yet. */
  inMessage = false;
  /** It has said something and has no answer yet. */
  waits = false;
  accepted = 0;
  readonly #client: LineClient;
  #sent = 0;
  #told = false;

  constructor(port: number) {
    this.#client = new LineClient(port);
    this.outcome = this.#run();
  }

  async #run(): Promise<SmtpOutcome> {
    let cutIn: string | undefined;
    await this.#reply();
    await this.#say('EHLO client.test');
    while (!this.#told && cutIn === undefined) {
      cutIn = await this.#sendMessage();
      // Between two messages, when a 421 may come unasked: it is seen at the next command.
      await sleep(Math.random() * 20);
    }
    const goodbye = cutIn === undefined ? await this.#quit() : await this.#client.ended;
    this.#client.socket.destroy();
    const { accepted } = this;
    return { sent: this.#sent, accepted, cutIn, told: this.#told, goodbye };
  }

  /** Returns where it was cut, if it was. */
  async #sendMessage(): Promise<string | undefined> {
    const steps = ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>', 'DATA', 'Subject: hello\r\n\r\nhello\r\n.'];
    for (const step of steps) {
      if (step.endsWith('.')) this.#sent += 1;
      const reply = await this.#say(step);
      if (reply === '421' && step.startsWith('MAIL')) return undefined;
      if (reply !== '250' && reply !== '354') return `${step.slice(0, 4)}: ${reply ?? (await this.#client.ended)}`;
      this.inMessage = !step.endsWith('.');
      await sleep(Math.random() * 20);
    }
    this.accepted += 1;
    return undefined;
  }

  async #quit(): Promise<string> {
    let reply = await this.#say('QUIT');
    // One more 421 for the command that crossed the first.
    while (reply === '421') reply = await this.#reply();
    if (reply !== '221') return reply ?? (await this.#client.ended);
    if ((await this.#reply()) !== undefined) return 'more than 221';
    const end = await this.#client.ended;
    return end === 'the end' ? '221' : end;
  }

  async #say(command: string): Promise<string | undefined> {
    this.#client.socket.write(`${command}\r\n`);
    this.waits = true;
    const reply = await this.#reply();
    this.waits = false;
    return reply;
  }

  /** The code of the next reply; undefined at the end of the stream. */
  async #reply(): Promise<string | undefined> {
    const line = await this.#client.next();
    const code = line?.slice(0, 3);
    if (code === '421') this.#told = true;
    return code;
  }
}
