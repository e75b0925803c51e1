/** An engine on another machine, as Docker's own client reaches it: by the ssh of this machine, with its settings and keys. */
import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';

/** So much of what ssh says when it fails. */
const SAID_CHARACTERS = 1_000;

/** Then Node gives a child no pipes at all. */
const TOO_MANY_FILES = new Set<string | undefined>(['EMFILE', 'ENFILE']);

/** Where to: the parts of `ssh://user@host:port`; those that are empty are as ssh has them. */
export interface Destination {
  username: string;
  hostname: string;
  port: string;
}

/** A connection to the engine there. Where there is none the stream fails with what ssh said. */
export function connectBySsh({ username, hostname, port }: Destination): Duplex {
  const who = username === '' ? hostname : `${decodeURIComponent(username)}@${hostname}`;
  const where = port === '' ? [] : ['-p', port];
  // Nobody is there whom it could ask for a password.
  const options = ['-T', '-o', 'BatchMode=yes', ...where, '--', who, 'docker', 'system', 'dial-stdio'];
  const ssh = spawn('ssh', options, { windowsHide: true });
  const stream = new Duplex({
    read: () => void ssh.stdout?.resume(),
    write: (bytes, _encoding, written) => void ssh.stdin?.write(bytes, written),
    final: (ended) => void ssh.stdin?.end(ended),
    destroy: (error, destroyed) => {
      if (ssh.pid !== undefined) ssh.kill();
      destroyed(error);
    },
  });
  ssh.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    const why = TOO_MANY_FILES.has(code) ? ': too many files are open' : ` (${message})`;
    stream.destroy(new Error(`ssh cannot be started${why}`));
  });
  // Its error follows.
  if (!ssh.stdout) return stream;
  let said = '';
  ssh.stderr.on('data', (text) => {
    said = `${said}${text}`.slice(-SAID_CHARACTERS);
  });
  ssh.stdout.on('data', (bytes) => {
    if (!stream.push(bytes)) ssh.stdout.pause();
  });
  ssh.stdin.on('error', () => {}); // who wrote is told
  ssh.on('close', (status) => {
    if (status === 0) stream.push(null);
    else stream.destroy(new Error(said.trim() || `ssh ended with status ${status}`));
  });
  return stream;
}
