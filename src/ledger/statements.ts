import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { ledgerError } from './sqlite-errors.ts';

export type Row = Record<string, SQLInputValue>;

/** SQL on one database, with every error made one that an operator can act on. */
export interface Statements {
  readonly get: (sql: string, ...values: SQLInputValue[]) => Row | null;
  readonly all: (sql: string, ...values: SQLInputValue[]) => readonly Row[];
  readonly each: (sql: string) => Iterable<Row>;
  /** Returns how many rows it changed. */
  readonly run: (sql: string, ...values: SQLInputValue[]) => number;
  /**
   * All of `work` or nothing. The lock is taken at its start, so it is never lost half-way to another writer.
   * Inside another one it is part of that one.
   */
  readonly transaction: <Answer>(work: () => Answer) => Answer;
  /**
   * A transaction in which SQLite does not look for rows that refer to those that are removed, which would read whole
   * tables for each of them: `work` has to know. Never inside another one.
   */
  readonly unchecked: <Answer>(work: () => Answer) => Answer;
  /** All reads of `work` see the same moment; waits for no writer. */
  readonly snapshot: <Answer>(work: () => Answer) => Answer;
}

/** `file` is named in errors. */
export function statementsOn(database: DatabaseSync, file: string): Statements {
  const prepared = new Map<string, StatementSync>();

  function statement(sql: string): StatementSync {
    let found = prepared.get(sql);
    if (found === undefined) {
      found = database.prepare(sql);
      prepared.set(sql, found);
    }
    return found;
  }

  function guard<Answer>(work: () => Answer): Answer {
    try {
      return work();
    } catch (error) {
      throw ledgerError(error, file);
    }
  }

  function within<Answer>(begin: string, work: () => Answer): Answer {
    if (database.isTransaction) return work();
    return guard(() => {
      database.exec(begin);
      try {
        const answer = work();
        database.exec('COMMIT');
        return answer;
      } catch (error) {
        // A full disk makes SQLite roll back by itself.
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  return {
    get: (sql, ...values) => guard(() => (statement(sql).get(...values) as Row | undefined) ?? null),
    all: (sql, ...values) => guard(() => statement(sql).all(...values) as Row[]),
    each: (sql) => guard(() => database.prepare(sql).iterate() as Iterable<Row>),
    run: (sql, ...values) => guard(() => Number(statement(sql).run(...values).changes)),
    transaction: (work) => within('BEGIN IMMEDIATE', work),
    unchecked: (work) => {
      if (database.isTransaction) throw new Error('references are checked until this transaction ends');
      return guard(() => {
        database.exec('PRAGMA foreign_keys = OFF');
        try {
          return within('BEGIN IMMEDIATE', work);
        } finally {
          database.exec('PRAGMA foreign_keys = ON');
        }
      });
    },
    snapshot: (work) => within('BEGIN', work),
  };
}
