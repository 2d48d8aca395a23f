// One SMTP client (RFC 5321), read line by line.

const GOODBYE = '421 4.3.2 Service shutting down\r\n';

export class Session {
  onMessage = () => {};
  onQuit = () => {};
  /** Called once when it is between two messages again. */
  #onceBetween = [];
  #reply;
  #unfinished = '';
  /** Where the client is: between two messages, naming its recipients, or sending the text. */
  #state = 'between messages';
  #isLeaving = false;

  constructor(reply) {
    this.#reply = reply;
    reply('220 lastcall example, at your service\r\n');
  }

  hear(bytes) {
    const lines = (this.#unfinished + bytes.toString('latin1')).split('\r\n');
    this.#unfinished = lines.pop();
    for (const line of lines) this.#hearLine(line);
  }

  /** Resolves when the client is between two messages, or gone. */
  async betweenMessages() {
    if (this.#state === 'between messages') return;
    await new Promise((resolve) => this.#onceBetween.push(resolve));
  }

  /** The client is gone. */
  end() {
    this.#enter('between messages');
  }

  /** Our 421, which goes out only between two messages. */
  sayGoodbye() {
    if (this.#state !== 'between messages' || this.#unfinished !== '' || this.#isLeaving) return undefined;
    this.#isLeaving = true;
    return Buffer.from(GOODBYE);
  }

  #hearLine(line) {
    if (this.#state === 'text') {
      if (line !== '.') return;
      this.onMessage();
      this.#reply('250 2.0.0 Message accepted\r\n');
      this.#enter('between messages');
      return;
    }
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'QUIT') {
      this.#reply('221 2.0.0 Bye\r\n');
      this.onQuit();
    } else if (this.#isLeaving) {
      // It crossed our 421, which a server may answer to any command (RFC 5321 3.8).
      this.#reply(GOODBYE);
    } else {
      this.#reply(this.#answer(verb));
    }
  }

  #answer(verb) {
    if (verb === 'HELO' || verb === 'EHLO') return '250 lastcall example\r\n';
    if (verb === 'NOOP') return '250 2.0.0 OK\r\n';
    if (verb === 'RSET') {
      this.#enter('between messages');
      return '250 2.0.0 OK\r\n';
    }
    if (verb === 'MAIL' && this.#state === 'between messages') {
      this.#enter('recipients');
      return '250 2.1.0 OK\r\n';
    }
    if (verb === 'RCPT' && this.#state === 'recipients') return '250 2.1.5 OK\r\n';
    if (verb === 'DATA' && this.#state === 'recipients') {
      this.#enter('text');
      return '354 End with a line that has only a dot\r\n';
    }
    return '503 5.5.1 Not now\r\n';
  }

  #enter(state) {
    this.#state = state;
    if (state === 'between messages') for (const resolve of this.#onceBetween.splice(0)) resolve();
  }
}
