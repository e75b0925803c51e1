/** Checks what comes in against its schema. */
import type { FastifySchemaCompiler } from 'fastify';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

export interface Validator<T extends TSchema> {
  Check(value: unknown): value is Static<T>;
  Errors(value: unknown): { instancePath: string; message: string }[];
}

/** @returns the validator of a schema, compiled when it is first needed: an idle daemon then has none in memory */
export function lazyValidator<T extends TSchema>(schema: T): () => Validator<T> {
  let validator: Validator<T> | undefined;
  return () => {
    validator ??= Compile(schema) as unknown as Validator<T>;
    return validator;
  };
}

/** For Fastify. Nothing is converted: what comes as text, in a path or a query, has a schema of text. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema }) => {
  const validator = lazyValidator(schema);
  return (value) => (validator().Check(value) ? { value } : { error: validator().Errors(value) as never });
};
