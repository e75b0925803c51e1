// TypeScript runs as it is; wrong types are told before it does.
interface Greeting {
  to: string;
  times: number;
}

function greet({ to, times }: Greeting): string {
  return `Hello, ${to}! `.repeat(times).trim();
}

console.log(greet({ to: 'TypeScript', times: 2 }));
