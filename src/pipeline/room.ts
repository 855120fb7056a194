/** Room in memory for texts that are worked on; whoever finds it full waits for his turn. */
export interface Room {
  /** Resolves when there is room for so many bytes; the answer gives it back, and twice is once. */
  enter(bytes: number): Promise<() => void>;
}

/**
 * Work on a text takes several times what the text takes, and as many readings end at once as there are workers. With
 * this bound large ones come one after the other and small ones never wait. In the order of asking; more than
 * `limitBytes` has it for itself.
 */
export function createRoom(limitBytes: number): Room {
  const waiting: { readonly bytes: number; readonly admit: () => void }[] = [];
  let takenBytes = 0;

  const admit = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (takenBytes > 0 && takenBytes + next.bytes > limitBytes) return;
      waiting.shift();
      takenBytes += next.bytes;
      next.admit();
    }
  };
  return {
    enter(bytes) {
      return new Promise((resolve) => {
        let left = false;
        const leave = (): void => {
          if (left) return;
          left = true;
          takenBytes -= bytes;
          admit();
        };
        waiting.push({ bytes, admit: () => resolve(leave) });
        admit();
      });
    },
  };
}
