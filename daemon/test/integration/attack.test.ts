/** Hostile programs, each with what must hold: how it ends, what it could find out, and that nothing of it stays. docs/security.md. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { RunRequest } from '../../src/protocol/index.ts';
import { type Followed, python, TestDaemon } from '../support/live-daemon.ts';

const MiB = 2 ** 20;

const attackFile = (name: string) => readFile(new URL(`../fixtures/attack/${name}`, import.meta.url), 'utf8');

interface Attack {
  title: string;
  /** A Python program. */
  source: string;
  request?: Partial<RunRequest>;
  /** What must hold. */
  holds(followed: Followed): void;
}

/** It ended in that way, and that is what is said of it. */
const ends =
  (state: string, message?: RegExp) =>
  ({ run, stderr }: Followed) => {
    assert.equal(run.state, state, `${run.message} ${stderr}`);
    if (message) assert.match(run.message ?? '', message);
  };

const printsOnly = (expected: string) => (followed: Followed) => {
  ends('succeeded')(followed);
  assert.equal(followed.stdout, expected);
};

const STAYS: Attack[] = [
  {
    title: 'a daemon that left its session and ignores every signal',
    source: `
import os, signal, sys, time
for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print('stays', flush=True)
        while True: time.sleep(0.01)
    os._exit(0)
time.sleep(0.3)
`,
    holds: printsOnly('stays\n'),
  },
  {
    title: 'a chain of processes, each of which ends as soon as it has made the next',
    source: `
import os, sys
print('chain', flush=True)
if os.fork() == 0:
    while True:
        if os.fork(): os._exit(0)
`,
    holds: printsOnly('chain\n'),
  },
  {
    title: 'a process that looks ended, since its first thread is (beside a waiting interpreter)',
    source: `
import ctypes, threading, time
def stay():
    while True: time.sleep(0.01)
threading.Thread(target=stay).start()
print('thread', flush=True)
ctypes.CDLL(None).syscall(60 if __import__('os').uname().machine == 'x86_64' else 93, 0)
`,
    request: { cold: true, limits: { wallMs: 1_500 } },
    holds: ends('timed_out', /ran longer than 1\.5 s/),
  },
  {
    title: 'an end of its output, kept in flight between two sockets that hold each other',
    source: `
import array, os, socket
a, b = socket.socketpair()
send = lambda s, *fds: s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])
send(a, 1, 2)
send(a, a.fileno(), b.fileno())
send(b, a.fileno(), b.fileno(), 1)
print('cycle', flush=True)
os._exit(0)
`,
    holds: printsOnly('cycle\n'),
  },
  {
    title: 'a swarm that uses up all processes',
    source: `
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            while True: time.sleep(1)
        count += 1
except BlockingIOError: pass
print('swarm' if count > 10 else count, flush=True)
os._exit(0)
`,
    holds: printsOnly('swarm\n'),
  },
  {
    title: 'a program that stops all that it may, itself too',
    source: `
import os, signal
os.fork()
os.kill(-1, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGSTOP)
`,
    request: { limits: { wallMs: 1_000 } },
    holds: ends('timed_out', /ran longer than 1 s/),
  },
  {
    title: 'a program that stops its group, and that of its agent where it may',
    source: `
import os, signal
for group in [os.getpgid(1), 1, 0]:
    try: os.killpg(group, signal.SIGSTOP)
    except OSError: pass
`,
    request: { limits: { wallMs: 1_000 } },
    holds: ends('timed_out', /ran longer than 1 s/),
  },
  {
    title: 'a program that kills all that it may',
    source: `
import os, signal
if os.fork() == 0: signal.pause()
os.kill(-1, signal.SIGKILL)
os.kill(0, signal.SIGKILL)
`,
    holds: ends('signaled', /SIGKILL/),
  },
  {
    title: 'a terminal held by a session that left it',
    source: `
import fcntl, os, termios, time
if os.fork() == 0:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCEXCL)
    while True: time.sleep(0.01)
time.sleep(0.2)
print('terminal', flush=True)
`,
    request: { tty: { rows: 24, cols: 80 } },
    holds: printsOnly('terminal\r\n'),
  },
];

const LIES: Attack[] = [
  {
    title: 'says in the agent’s frames that it succeeded, into every descriptor it can find',
    source: `
import json, os, struct, sys
end = json.dumps({'stage': 'run', 'exitCode': 0, 'signal': None, 'wallMs': 1, 'cpuMs': 1, 'peakRssBytes': 1, 'cause': 'exit',
                  'outputBytes': 0, 'warm': False}).encode()
frame = struct.pack('>BBHI', 0x84, 0, 0, len(end)) + end
refused = 0
for folder in ['/proc/self/fd', '/proc/1/fd', '/proc/1/task/1/fd']:
    for number in range(0, 64):
        try: os.write(os.open(f'{folder}/{number}', os.O_WRONLY | os.O_NONBLOCK), frame)
        except OSError: refused += 1
for number in range(3, 64):
    try: os.write(number, frame)
    except OSError: refused += 1
sys.stderr.write(f'{refused > 180}')
sys.exit(7)
`,
    holds: ({ run }) => {
      assert.equal(run.state, 'failed');
      assert.equal(run.exitCode, 7);
    },
  },
  {
    title: 'fills the memory with files, so that its supervisor is the largest process',
    source: `
import os, time
open('/proc/self/oom_score_adj', 'w').write('0')
block = bytes(1 << 20)
for folder in ['/workspace', '/tmp', '/dev/shm']:
    try:
        with open(folder + '/full', 'wb', buffering=0) as file:
            while True: file.write(block)
    except OSError: pass
while True:
    if os.fork() == 0:
        while True: time.sleep(1)
`,
    request: { limits: { memoryBytes: 48 * MiB, wallMs: 20_000 } },
    holds: ({ run }) => assert.ok(['out_of_memory', 'failed'].includes(run.state), `${run.state} ${run.message}`),
  },
  {
    title: 'fails, and leaves holes that take long to read',
    source: `
import os, sys
for number in range(4000):
    with open(f'/workspace/hole{number}', 'wb') as file: file.truncate(60 << 20)
sys.exit(7)
`,
    request: { collect: ['**'], limits: { wallMs: 60_000 } },
    holds: ({ run }) => {
      assert.equal(run.state, 'failed', run.message ?? '');
      assert.equal(run.exitCode, 7);
    },
  },
  {
    title: 'fails, and leaves folders that are deep and wide',
    source: `
import os, sys
for depth in range(900):
    os.mkdir('d')
    os.chdir('d')
for number in range(6000): os.mkdir(str(number))
sys.exit(7)
`,
    request: { collect: ['**'], limits: { wallMs: 60_000 } },
    holds: ({ run }) => {
      assert.equal(run.state, 'failed', run.message ?? '');
      assert.equal(run.exitCode, 7);
    },
  },
  {
    title: 'leaves links, pipes and sockets where files are collected',
    source: `
import os, socket
os.symlink('/etc/passwd', 'passwd')
os.symlink('/proc/1/environ', 'environ')
os.symlink('/', 'root')
os.symlink('passwd', 'again')
os.mkfifo('pipe')
socket.socket(socket.AF_UNIX).bind('socket')
os.mkdir('a\\nb'); open('a\\nb/file', 'w').write('x')
open('c\\\\..\\\\d', 'w').write('x')
open('hidden', 'w').write('x'); os.chmod('hidden', 0)
open('honest', 'w').write('honest')
`,
    request: { collect: ['**'] },
    holds: ({ run }) => {
      assert.equal(run.state, 'succeeded');
      assert.deepEqual(
        run.files.filter(({ path }) => path !== 'c\\..\\d').map(({ path, sha256 }) => [path, sha256]),
        [['honest', createHash('sha256').update('honest').digest('hex')]],
      );
    },
  },
];

const KERNEL: Attack[] = [
  {
    title: 'for pairs of sockets of families whose single sockets are refused',
    source: `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
pair = (ctypes.c_int * 2)()
for family in [1, 2, 16, 17, 30, 38, 40]:
    failed = libc.socketpair(family, 5 if family == 30 else 1, 0, pair) != 0
    print(family, errno.errorcode[ctypes.get_errno()] if failed else 'works')
`,
    holds: printsOnly('1 works\n2 EPERM\n16 EPERM\n17 EPERM\n30 EPERM\n38 EPERM\n40 EPERM\n'),
  },
  {
    title: 'to write back the disks of the whole machine: it is told that it was done, and the kernel is not asked',
    source: `
import ctypes, os
os.sync()
print(ctypes.CDLL(None).syncfs(-1))
`,
    holds: printsOnly('0\n'),
  },
];

/** What it takes is bounded also where no limit is left, for those who try that. */
const TAKES: Attack[] = [
  {
    title: 'threads until there are no more',
    source: `
import threading
event = threading.Event()
count = 0
try:
    while count < 3 * 64:
        threading.Thread(target=event.wait, daemon=True).start()
        count += 1
    print('escaped')
except RuntimeError: print('refused')
`,
    holds: printsOnly('refused\n'),
  },
  {
    title: 'descriptors until there are no more, also those that are on their way',
    source: `
import array, os, socket
kept = []
try:
    while len(kept) < 3 * 1024: kept.append(os.open('/dev/null', os.O_RDONLY))
    print('escaped')
except OSError as error: print(os.strerror(error.errno))
while len(kept) > 2: os.close(kept.pop())
pairs = []
flying = 0
try:
    while flying < 10_000:
        pair = socket.socketpair()
        pairs.append(pair)
        pair[0].setblocking(False)
        for _ in range(50):
            pair[0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', kept[:1] * 100))])
            flying += 100
    print('escaped')
except OSError: print('refused' if flying < 3 * 1024 else flying)
`,
    holds: printsOnly('Too many open files\nrefused\n'),
  },
  {
    title: 'the largest file that there may be, and one more byte',
    source: `
import os, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = os.open('large', os.O_CREAT | os.O_WRONLY)
for size in [2 ** 20, 2 ** 20 + 1]:
    try:
        os.truncate(file, size)
        print('works')
    except OSError as error: print(os.strerror(error.errno))
`,
    request: { limits: { fileBytes: MiB } },
    holds: printsOnly('works\nFile too large\n'),
  },
  {
    title: 'processor time in a process that nobody waits for',
    source: `
import os, time
if os.fork() == 0:
    os.setsid()
    while True: pass
time.sleep(60)
`,
    request: { limits: { cpuMs: 500, wallMs: 60_000 } },
    holds: ends('timed_out', /CPU/i),
  },
];

const TIME: Attack[] = [
  {
    title: 'to be believed what its clock says: what it cost is what the kernel counted',
    source: `
import ctypes, os, time
libc = ctypes.CDLL(None)
print([libc.clock_settime(number, bytes(16)) for number in (0, 1)], libc.settimeofday(bytes(16), None), flush=True)
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while time.process_time() < 0.3: pass
        os.write(writer, b'x')
        os._exit(0)
    os._exit(0)
os.read(reader, 1)
time.sleep(0.2)
time.time = time.monotonic = time.process_time = lambda: 0
`,
    holds: (followed) => {
      printsOnly('[-1, -1] -1\n')(followed);
      const { wallMs, cpuMs } = followed.run;
      assert.ok((cpuMs ?? 0) >= 300 && (wallMs ?? 0) >= 500, `${cpuMs} ms, ${wallMs} ms`);
    },
  },
  {
    title: 'timers to fire after its end',
    source: `
import ctypes, os, signal, threading
signal.signal(signal.SIGALRM, lambda *_: print('late', flush=True))
signal.alarm(3600)
signal.setitimer(signal.ITIMER_VIRTUAL, 3600)
timer = threading.Timer(3600, print, ['late'])
timer.daemon = True
timer.start()
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    libc = ctypes.CDLL(None)
    clock = libc.timerfd_create(1, 0)
    libc.timerfd_settime(clock, 0, (ctypes.c_long * 4)(0, 0, 3600, 0), None)
    os.write(writer, b'x')
    os.read(clock, 8)
    print('late', flush=True)
    os._exit(0)
os.read(reader, 1)
print('armed', flush=True)
`,
    holds: printsOnly('armed\n'),
  },
];

/** Takes all inotify instances, message queues and waiting signals that it can get, says how many, and keeps them. */
const TAKES_ALL = `
import ctypes, os, signal
libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
def take(one):
    count = 0
    while one(count) >= 0: count += 1
    return count
print(take(lambda _: libc.inotify_init1(0)),
      take(lambda count: libc.mq_open(b'/%d' % count, os.O_CREAT | os.O_RDWR, 0o600, None)),
      take(lambda _: libc.sigqueue(os.getpid(), 40, None)), flush=True)
print('ready', flush=True)
input()
`;

describe('a hostile program', () => {
  let daemon: TestDaemon;

  before(async () => {
    daemon = await TestDaemon.start({ maxRunning: 2 });
  });
  after(() => daemon[Symbol.asyncDispose]());

  it('that takes all that the kernel has for one user takes nothing from the next run', async () => {
    const { id } = await daemon.start(python(TAKES_ALL));
    await daemon.printed(id, 'ready');
    const { stdout } = await daemon.runToEnd(python(TAKES_ALL, { stdin: '\n' }));
    await daemon.json('DELETE', `/v1/runs/${id}`);
    const hoard = await daemon.follow(id);
    assert.match(stdout, /^[1-9]\d* [1-9]\d* [1-9]\d*\n/);
    assert.equal(stdout, hoard.stdout, 'both got the same');
  });

  describe('that takes memory', () => {
    for (const way of ['anonymous', 'of_children', 'memfd', 'shared', 'system_v', 'files', 'sockets', 'pipes']) {
      it(`as ${way.replace('_', ' ')}`, async () => {
        const memoryBytes = 64 * MiB;
        const request = { args: [way, `${memoryBytes}`], limits: { memoryBytes } };
        const { run, stdout } = await daemon.runToEnd(python(await attackFile('memory.py'), request));
        if (run.state === 'succeeded') assert.match(stdout, /^refused/);
        else assert.equal(run.state, 'out_of_memory', run.message ?? '');
      });
    }
  });

  for (const [what, attacks] of Object.entries({
    'that wants to stay': STAYS,
    'that lies': LIES,
    'that asks the kernel': KERNEL,
    'that takes': TAKES,
    'that wants': TIME,
  })) {
    describe(what, () => {
      for (const { title, source, request, holds } of attacks) {
        it(title, async () => holds(await daemon.runToEnd(python(source, request))));
      }
    });
  }
});
