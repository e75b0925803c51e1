// Uses the database beside it: run it with `coderunner run --service mariadb database.ts`.
import { createConnection, type RowDataPacket } from 'mysql2/promise';

interface Planet extends RowDataPacket {
  name: string;
  moons: number;
}

const database = await createConnection({
  socketPath: process.env.MARIADB_SOCKET,
  user: process.env.MARIADB_USER,
  database: process.env.MARIADB_DATABASE,
});
await database.query('CREATE TABLE planets (name VARCHAR(20) PRIMARY KEY, moons INT)');
for (const planet of [
  ['Earth', 1],
  ['Mars', 2],
  ['Venus', 0],
])
  await database.query('INSERT INTO planets VALUES (?, ?)', planet);
const [planets] = await database.query<Planet[]>('SELECT name, moons FROM planets WHERE moons > 0 ORDER BY moons');
for (const { name, moons } of planets) console.log(`${name}: ${moons}`);
await database.end();
