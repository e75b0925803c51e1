// Node 24 runs the TypeScript of the specs as it is. The specs stand on the command line: see package.json.
module.exports = {
  reporter: 'tools/reporter.ts',
  timeout: 10_000,
  failZero: true,
  forbidOnly: Boolean(process.env.CI),
};
