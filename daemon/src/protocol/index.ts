export * from './constants.ts';
export * from './errors.ts';
export * from './frames.ts';
export * from './messages.ts';
export * from './resources.ts';
export * from './states.ts';
export * from './units.ts';
