/** Where runs wait for their turn. The embedded broker is in this folder; others (Redis, RabbitMQ) implement the same few verbs. */

export interface Job {
  /** The run's id; its specification is in the store. */
  id: string;
  owner: string;
  /** Higher goes first among the owner's own; owners are served fairly whatever their priorities. */
  priority: number;
}

export interface Broker {
  /** Jobs that wait. */
  readonly waiting: number;
  /** Jobs of one owner that wait. */
  waitingOf(owner: string): number;
  /** Jobs that a consumer is working on. */
  readonly active: number;
  /** Adds a job behind the owner's others of the same priority. */
  enqueue(job: Job): void;
  /** Takes a waiting job out. @returns false when it does not wait (any more) */
  remove(id: string): boolean;
  /**
   * Starts giving jobs to `work`, as many at once as the broker was told. A job counts as done when the promise settles; when it resolves
   * to 'again' the job goes back to the head of its queue and nothing is handed out until {@link Broker.resume}.
   */
  consume(work: (job: Job) => Promise<'done' | 'again'>): void;
  /** Hands out jobs again after a pause. */
  resume(): void;
  /** Hands out nothing any more, and resolves when nothing is worked on; what waits stays where it is. */
  stop(): Promise<void>;
}
