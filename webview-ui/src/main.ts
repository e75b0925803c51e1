/** The console's page. For now it says whether the daemon that served it can run something. */
const status = document.querySelector('[role=status]') as HTMLElement;

try {
  const response = await fetch('/readyz');
  status.textContent = response.ok ? 'The daemon is ready.' : 'The daemon is up, but cannot run anything yet.';
} catch {
  status.textContent = 'The daemon does not answer.';
}

export {};
