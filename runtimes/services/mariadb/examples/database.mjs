// Uses the database beside it: run it with `coderunner run --service mariadb database.mjs`.
import { createConnection } from 'mysql2/promise';

const { MARIADB_SOCKET, MARIADB_USER, MARIADB_DATABASE } = process.env;
const database = await createConnection({
  socketPath: MARIADB_SOCKET,
  user: MARIADB_USER,
  database: MARIADB_DATABASE,
});
await database.query('CREATE TABLE planets (name VARCHAR(20) PRIMARY KEY, moons INT)');
await database.query('INSERT INTO planets VALUES ?', [
  [
    ['Earth', 1],
    ['Mars', 2],
    ['Venus', 0],
  ],
]);
const [planets] = await database.query('SELECT name, moons FROM planets WHERE moons > 0 ORDER BY moons');
for (const { name, moons } of planets) console.log(`${name}: ${moons}`);
await database.end();
