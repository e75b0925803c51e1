/** A hostile program that tries all doors. docs/security.md. */
import { tryAllDoors } from '../support/doors.ts';

describe('a hostile program finds no way', () => {
  tryAllDoors(() => ({}));
});
