/** One hostile program that tries all doors, each in a process of its own, and tells what came of it. docs/security.md. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Config } from '../../src/config.ts';
import { python, TestDaemon } from './live-daemon.ts';

/** Nothing of a list of attempts worked, or the one was refused. */
const NONE: readonly string[] = [];
const REFUSED = /^refused: /;

/** Groups of titles, each with the attack of fixtures/attack/escape.py and what it may come to. */
const DOORS: Record<string, [title: string, attack: string, held: RegExp | readonly string[]][]> = {
  'to its agent': [
    ['sending it every signal, in four ways', 'signals_to_the_agent', NONE],
    ['tracing it, its memory, descriptors, limits, priority and processors', 'hands_on_the_agent', NONE],
    ['its files in /proc, its descriptors too', 'files_of_the_agent', NONE],
  ],
  'into the kernel': [
    ['new namespaces, and those of others', 'new_namespaces', NONE],
    ['new namespaces by clone3, whose flags no filter sees', 'new_namespaces_by_clone3', /^refused: ENOSYS$/],
    ['mounts, old and new way, and another root', 'mounts', NONE],
    ['calls that programs do not need: modules, bpf, io_uring', 'calls_that_programs_do_not_need', NONE],
    ['data that can be executed by itself', 'executable_data', REFUSED],
    ['calls of 32 bit', 'calls_of_32_bit', REFUSED],
    ['calls of x32', 'calls_of_x32', REFUSED],
    ['sockets of every family, raw ones too', 'sockets_of_the_kernel', NONE],
    ['key rings', 'key_rings', NONE],
  ],
  'to more rights': [
    ['other ids, capabilities, priorities', 'rights', NONE],
    ['capabilities within reach of what it starts', 'capabilities_within_reach', NONE],
    ['files that make others of who starts them', 'set_user_id_files', NONE],
    ['files of root that it makes', 'making_files_of_root', NONE],
    ['higher limits', 'more_than_its_limits', NONE],
    ['a dump of memory', 'core_dump', NONE],
  ],
  'to the machine': [
    ['devices', 'devices', NONE],
    ['files of the kernel to write', 'files_of_the_kernel_to_write', NONE],
    ['what tells of the machine and of what others do', 'insides_of_the_kernel', NONE],
    ['places to write', 'places_to_write', ['/dev/mqueue', '/dev/shm', '/tmp', '/workspace']],
    ['programs and settings of the image', 'files_of_the_image_to_change', NONE],
    ['secrets in its environment', 'secrets_in_the_environment', NONE],
  ],
  'to others': [
    ['hosts, gateways, metadata services and the daemon over the network', 'the_network', NONE],
    ['names of hosts', 'names_of_hosts', NONE],
    ['the daemon on loopback', 'the_daemon_on_loopback', NONE],
    ['the engine’s socket, and those without a path', 'sockets_of_others', NONE],
    ['processes of others', 'processes_of_others', NONE],
  ],
};

/** Tests each door. @param settings of the daemon that is attacked, to be known when the tests begin */
export function tryAllDoors(settings: () => Partial<Config>): void {
  let found: Record<string, unknown>;

  before(async function () {
    this.timeout(120_000);
    const source = await readFile(new URL('../fixtures/attack/escape.py', import.meta.url), 'utf8');
    process.env.CODERUNNER_SECRET_OF_THE_DAEMON = 'secret';
    try {
      await using daemon = await TestDaemon.start(settings());
      const { run, stdout, stderr } = await daemon.runToEnd(
        python(source, { args: [new URL(daemon.url).port], limits: { wallMs: 100_000 } }),
      );
      assert.equal(run.state, 'succeeded', `${run.message} ${stderr}`);
      found = JSON.parse(stdout);
    } finally {
      delete process.env.CODERUNNER_SECRET_OF_THE_DAEMON;
    }
  });

  for (const [where, doors] of Object.entries(DOORS)) {
    describe(where, () => {
      for (const [title, attack, held] of doors) {
        it(title, () => {
          if (held instanceof RegExp) assert.match(String(found[attack]), held);
          else assert.deepEqual(found[attack], held);
        });
      }
    });
  }

  it('by an attack that this test does not know', () => {
    const known = Object.values(DOORS).flatMap((doors) => doors.map(([, attack]) => attack));
    assert.deepEqual(Object.keys(found).sort(), known.sort());
  });
}
