/** Checks what comes in against its schema. */
import type { FastifySchemaCompiler } from 'fastify';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

export interface Validator<T extends TSchema> {
  Check(value: unknown): value is Static<T>;
  Errors(value: unknown): { instancePath: string; message: string }[];
}

/** To find what is wrong among more values would take up to seconds, in which nobody else is served. */
const MOST_EXPLAINED = 5_000;

/** @returns the validator of a schema, compiled when it is first needed: an idle daemon then has none in memory */
export function lazyValidator<T extends TSchema>(schema: T): () => Validator<T> {
  let validator: Validator<T> | undefined;
  return () => {
    validator ??= explainingLittle(Compile(schema) as unknown as Validator<T>);
    return validator;
  };
}

function explainingLittle<T extends TSchema>(validator: Validator<T>): Validator<T> {
  return {
    Check: (value): value is Static<T> => validator.Check(value),
    Errors: (value) =>
      hasMoreValuesThan(MOST_EXPLAINED, value)
        ? [{ instancePath: '', message: 'does not have the form that is described at /docs' }]
        : validator.Errors(value),
  };
}

function hasMoreValuesThan(most: number, value: unknown): boolean {
  const open = [value];
  for (let found = 0; found < open.length; found++) {
    const next = open[found];
    if (typeof next !== 'object' || next === null) continue;
    const inside = Object.values(next);
    if (open.length + inside.length > most) return true;
    open.push(...inside);
  }
  return false;
}

/** For Fastify. Nothing is converted: what comes as text, in a path or a query, has a schema of text. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema }) => {
  const validator = lazyValidator(schema);
  return (value) => (validator().Check(value) ? { value } : { error: validator().Errors(value) as never });
};
