// What warm.cjs loads so that Node has its TypeScript parser ready before the first program comes.
const parsed: boolean = true;
module.exports = parsed;
