import assert from 'node:assert/strict';
import { type Key, type KeyContext, type KeyUse, useOf } from '../../src/keys.ts';

const TERMINAL: KeyContext = { mac: false, selection: false, input: true, tty: true, fullScreen: false };
const PIPES = { ...TERMINAL, tty: false };
const ENDED = { ...TERMINAL, input: false };
const FULL = { ...TERMINAL, fullScreen: true };
const MAC = { ...TERMINAL, mac: true };

/** @param keys such as `Ctrl+Shift+P` */
function key(keys: string): Key {
  const parts = keys.split('+');
  const has = (name: string) => parts.includes(name);
  return {
    key: parts.at(-1) ?? '',
    ctrlKey: has('Ctrl'),
    metaKey: has('Cmd'),
    shiftKey: has('Shift'),
    altKey: has('Alt'),
  };
}

describe('Who a key is for', () => {
  const cases: [context: string, KeyContext, Partial<Record<KeyUse, string[]>>][] = [
    [
      'a program in a terminal',
      TERMINAL,
      {
        program: [
          'a',
          'Enter',
          'Tab',
          'ArrowUp',
          'PageUp',
          'Escape',
          'Ctrl+c',
          'Ctrl+d',
          'Ctrl+w',
          'Ctrl+a',
          'Alt+b',
          'Ctrl+Alt+@',
          'Ctrl+Alt+Shift+Ą',
        ],
        outside: ['Shift+Tab', 'Ctrl+v', 'Ctrl+Shift+v', 'Ctrl+p', 'Ctrl+Shift+P', 'Ctrl+`', 'F1', 'F5', 'Cmd+k'],
        find: ['Ctrl+f'],
        links: ['Ctrl+Shift+O'],
        findNext: ['F3'],
        findPrevious: ['Shift+F3'],
        selectAll: ['Ctrl+Shift+A'],
      },
    ],
    ['something selected', { ...TERMINAL, selection: true }, { copy: ['Ctrl+c', 'Ctrl+Shift+C'], program: ['Ctrl+d'] }],
    ['a program that fills the screen', FULL, { program: ['Tab', 'Shift+Tab', 'F3', 'F10'], outside: ['F1', 'F6'] }],
    ['a program without a terminal', PIPES, { program: ['a', 'Ctrl+d', 'ArrowUp'], outside: ['Tab', 'Shift+Tab'] }],
    [
      'a program that has ended',
      ENDED,
      {
        outside: ['a', 'Enter', 'Tab', 'Ctrl+w'],
        selectAll: ['Ctrl+a'],
        lineUp: ['ArrowUp'],
        pageDown: ['PageDown'],
        top: ['Home'],
        bottom: ['End'],
      },
    ],
    [
      'macOS',
      { ...MAC, selection: true },
      {
        copy: ['Cmd+c'],
        find: ['Cmd+f'],
        findNext: ['Cmd+g'],
        selectAll: ['Cmd+a'],
        program: ['Ctrl+c', 'Ctrl+f', 'Ctrl+a', 'Ctrl+v'],
        outside: ['Cmd+v', 'Cmd+k'],
      },
    ],
  ];
  for (const [name, context, uses] of cases)
    for (const [use, all] of Object.entries(uses))
      it(`${use}: ${all.join(', ')} with ${name}`, () => {
        for (const keys of all) assert.equal(useOf(key(keys), context), use, keys);
      });
});
