import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { Answers, KINDS } from '../fixtures/close/call-kinds.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';

describe('a server with a client that is being served and one that is idle', { skip: needsPrograms('openssl') }, () => {
  for (const kind of KINDS) {
    it(`ends both well as ${kind.name}`, async () => {
      const answers = new Answers();
      await using server = await listen(kind.create(answers, makeCertificate()));
      await using scope = new Scope();
      const port = portOf(server);
      const busy = kind.connect(port, '/busy');
      scope.defer(busy.destroy);
      await answers.busy;
      const idle = kind.connect(port, '/idle');
      scope.defer(idle.destroy);
      assert.equal(await idle.answered, 'idle served');
      const close = gracefulClose(server, { idleWait: 400, lingerWait: 200 });
      // Where the protocol shows that an answer is due, it comes only after the idle one has gone, which came later.
      if (kind.waitsForAnswer) await idle.ended;
      answers.release();
      assert.equal(await busy.answered, 'busy served');
      await Promise.all([busy.ended, idle.ended]);
      const report = await close;
      assert.equal(report.outcome, 'complete');
      assert.equal(report.listeners[0]?.gate, 'refuse');
      assert.equal(report.connections.atStart, 2);
      assert.equal(report.connections.ended, 2);
      assert.deepEqual(report.errors, []);
      assert.equal(server.listening, false);
    });
  }
});
