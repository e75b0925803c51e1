/** What runs beside a program in its sandbox: found by the program and by nobody else. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BUNDLED_RUNTIMES } from '../../src/config.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';
import { type Program, TestDaemon } from '../helpers/daemon.ts';

const EXAMPLES = join(BUNDLED_RUNTIMES, 'services/mariadb/examples');
const LANGUAGES = ['python', 'javascript', 'typescript', 'java'];
const CONNECT = `import os, pymysql
database = pymysql.connect(unix_socket=os.environ['MARIADB_SOCKET'], user='sandbox', database='sandbox')
cursor = database.cursor()
`;

describe('a database beside a program', function () {
  this.timeout(120_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_800_000);
    daemon = await TestDaemon.start(LANGUAGES.map((id) => `${id}+mariadb`));
  });
  after(() => daemon[Symbol.asyncDispose]());

  async function python(source: string, more: Partial<Program> = {}) {
    const files = [{ path: 'main.py', content: Buffer.from(source) }];
    const { run, stdout, stderr } = await daemon.run({ runtime: 'python', files, services: ['mariadb'], ...more });
    return { run, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  for (const entry of ['database.py', 'database.mjs', 'database.ts', 'Database.java']) {
    it(`is used by ${entry}, with a client library that is there already`, async () => {
      const files = [{ path: entry, content: await readFile(join(EXAMPLES, entry)) }];
      const { run, stdout, stderr } = await daemon.run({ files, services: ['mariadb'] });
      assert.equal(run.error, null);
      assert.equal(stderr.toString(), '');
      assert.equal(stdout.toString(), 'Earth: 1\nMars: 2\n');
      assert.deepEqual([run.state, run.services], ['succeeded', ['mariadb']]);
    });
  }

  it('is found by require as well as by import', async () => {
    const source = "console.log(typeof require('mysql2').createConnection)";
    const files = [{ path: 'main.cjs', content: Buffer.from(source) }];
    assert.equal((await daemon.run({ files, services: ['mariadb'] })).stdout.toString(), 'function\n');
  });

  it('is empty in each run, and there only where it was asked for', async () => {
    const source = `${CONNECT}cursor.execute('CREATE TABLE mine (a INT)')\nprint('made')`;
    for (const turn of ['first', 'second']) assert.equal((await python(source)).stdout, 'made\n', turn);
    const without = await python("import os\nprint(os.path.exists('/tmp/mariadb'), 'MARIADB_SOCKET' in os.environ)", {
      services: [],
    });
    assert.equal(without.stdout, 'False False\n');
  });

  it('opens no port, and no way out of the sandbox', async () => {
    const { stdout } = await python(`import socket
print([line.split()[1] for name in ('tcp', 'tcp6') for line in open(f'/proc/net/{name}').readlines()[1:]])
try:
    socket.create_connection(('127.0.0.1', 3306), timeout=5)
except OSError as error:
    print(type(error).__name__)
print([line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]])`);
    assert.equal(stdout, "[]\nConnectionRefusedError\n['lo']\n");
  });

  it('runs as the same user as the program, with no more rights', async () => {
    const { stdout } = await python(`import glob, os
for path in glob.glob('/proc/[0-9]*/status'):
    status = dict(line.split(':', 1) for line in open(path).read().splitlines())
    if status['Name'].strip() == 'mariadbd':
        print(int(status['Uid'].split()[0]) == os.getuid(), int(status['CapEff'], 16), status['NoNewPrivs'].strip())`);
    assert.equal(stdout, 'True 0 1\n');
  });

  it('leaves the program the memory that its limit says', async () => {
    const { run } = await python(
      "data = bytearray(200 << 20)\nfor at in range(0, len(data), 4096): data[at] = 1\nprint('ok')",
      {
        limits: { memoryBytes: 256 * 2 ** 20 },
      },
    );
    assert.equal(run.state, 'succeeded', run.message ?? '');
  });

  it('may be ended by its program, which ends as it likes', async () => {
    const { run, stdout } = await python(`${CONNECT}import glob, signal
for path in glob.glob('/proc/[0-9]*/comm'):
    if open(path).read() == 'mariadbd\\n':
        os.kill(int(path.split('/')[2]), signal.SIGKILL)
try:
    cursor.execute('SELECT 1')
except pymysql.Error as error:
    print(type(error).__name__)`);
    assert.equal(stdout, 'OperationalError\n');
    assert.equal(run.state, 'succeeded');
  });

  it('that nobody knows is refused by name', async () => {
    await assert.rejects(python('', { services: ['oracle'] }), (error) => {
      assert.ok(error instanceof CodeRunnerError);
      assert.equal(error.code, 'bad_request');
      assert.match(error.message, /no service "oracle" here. There are: mariadb\./);
      return true;
    });
  });
});
