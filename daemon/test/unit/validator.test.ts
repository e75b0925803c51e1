/** What is wrong with a message is said, unless looking for it would keep everybody waiting. */
import assert from 'node:assert/strict';
import { lazyValidator } from '../../src/http/validator.ts';
import { RunRequest } from '../../src/protocol/index.ts';

describe('the checks of messages', () => {
  const validator = lazyValidator(RunRequest)();
  const request = (files: number) => ({
    files: [...Array.from({ length: files }, (_, i) => ({ path: `${i}`, content: '' })), { path: 1, content: '' }],
  });
  const explains = (value: unknown) => validator.Errors(value).some(({ instancePath }) => instancePath !== '');

  it('name the place', () => {
    for (const value of [request(1), request(100)]) {
      assert.equal(validator.Check(value), false);
      assert.ok(explains(value));
    }
  });

  it('do not look for it among very many values, in lists or in objects', () => {
    const many = Object.fromEntries(Array.from({ length: 6_000 }, (_, i) => [`N${i}`, '']));
    for (const value of [request(6_000), { files: [], env: { ...many, bad: 1 } }, { files: [], extra: [many] }]) {
      assert.equal(validator.Check(value), false);
      assert.equal(explains(value), false);
      assert.equal(validator.Errors(value).length, 1);
    }
  });
});
