import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { replaceMethod } from '../../src/node/replace.ts';

class Greeter {
  name = 'Ada';
  greet(word: string): string {
    return `${word}, ${this.name}`;
  }
}

suite('a method that is replaced', () => {
  test('calls the prototype’s as its original, and is gone after the undo', () => {
    const greeter = new Greeter();
    const { undo } = replaceMethod(greeter, 'greet', louder);
    assert.equal(greeter.greet('Hello'), 'Hello, Ada!');
    assert.equal(undo(), true);
    assert.equal(greeter.greet('Hello'), 'Hello, Ada');
    assert.equal(Object.hasOwn(greeter, 'greet'), false);
  });

  test('gives the owner’s own method back, as enumerable as it was', () => {
    for (const enumerable of [true, false]) {
      const greeter = new Greeter();
      const value = (): string => 'own';
      Object.defineProperty(greeter, 'greet', { value, enumerable, configurable: true, writable: true });
      const { undo } = replaceMethod(greeter, 'greet', louder);
      const replaced = Object.getOwnPropertyDescriptor(greeter, 'greet');
      assert.deepEqual(
        { said: greeter.greet('Hello'), enumerable: replaced?.enumerable },
        { said: 'own!', enumerable },
      );
      assert.equal(undo(), true);
      const { value: after, enumerable: isEnumerable } = Object.getOwnPropertyDescriptor(greeter, 'greet')!;
      assert.deepEqual({ after, isEnumerable }, { after: value, isEnumerable: enumerable });
    }
  });

  test('may be one that can be written only, or one behind a getter', () => {
    const greeter = new Greeter();
    const value = (): string => 'own';
    Object.defineProperty(greeter, 'greet', { value, writable: true, configurable: false });
    const fixed = replaceMethod(greeter, 'greet', louder);
    assert.equal(greeter.greet('Hello'), 'own!');
    assert.equal(fixed.undo(), true);
    assert.equal(greeter.greet('Hello'), 'own');
    const other = new Greeter();
    Object.defineProperty(other, 'greet', { get: () => value, configurable: true });
    const behind = replaceMethod(other, 'greet', louder);
    assert.equal(other.greet('Hello'), 'own!');
    assert.equal(behind.undo(), true);
    assert.equal(other.greet('Hello'), 'own');
  });

  test('is replaced for all objects where it is the prototype’s', () => {
    const { undo } = replaceMethod(Greeter.prototype, 'greet', louder);
    assert.equal(new Greeter().greet('Hello'), 'Hello, Ada!');
    assert.equal(undo(), true);
    assert.equal(new Greeter().greet('Hello'), 'Hello, Ada');
  });

  test('stays, and passes everything through, where somebody else has wrapped it', () => {
    const greeter = new Greeter();
    const { undo } = replaceMethod(greeter, 'greet', louder);
    const ours = greeter.greet;
    greeter.greet = function wrapped(word: string) {
      return `<${Reflect.apply(ours, this, [word])}>`;
    };
    assert.equal(undo(), false);
    assert.equal(greeter.greet('Hello'), '<Hello, Ada!>');
  });

  test('calls what the prototype has at the time, and nothing where there is nothing', () => {
    const greeter = new Greeter();
    const replaced = replaceMethod(greeter, 'greet', louder);
    const { undo } = replaceMethod(Greeter.prototype, 'greet', () => () => 'changed');
    assert.equal(greeter.greet('Hello'), 'changed!');
    undo();
    replaced.undo();
    const bare: Record<string, unknown> = {};
    const none = replaceMethod(bare, 'greet', () => () => {});
    assert.equal(none.original(bare, []), undefined);
    none.undo();
    assert.deepEqual(Object.keys(bare), []);
  });
});

function louder(original: (receiver: object, args: readonly unknown[]) => unknown) {
  return function greetLouder(this: object, ...args: unknown[]): string {
    return `${String(original(this, args))}!`;
  };
}
