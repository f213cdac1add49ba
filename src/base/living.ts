/** Whether a process lives: those that died leave files that bear their numbers. */

/** Whether any process of this machine has this number now; somebody else's, which may not be signalled, counts. */
export function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
