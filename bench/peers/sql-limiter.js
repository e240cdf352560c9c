// The same with the limiter that people write: every request is counted in SQLite, which is exact and survives anything.
import worker, { Key as RowObject } from "./row-object.js";
import { LIMIT, WINDOW_SECONDS } from "./words.js";

export class Key extends RowObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS slots (slot INTEGER PRIMARY KEY, units INTEGER NOT NULL)");
  }

  count(now) {
    const { sql } = this.ctx.storage;
    const slot = Math.floor(now / 1_000);
    const over = slot - WINDOW_SECONDS - 1;
    const { used, oldest, newest } = sql.exec("SELECT SUM(units) AS used, MIN(slot) AS oldest, MAX(slot) AS newest FROM slots WHERE slot > ?", over).one();
    if (used >= LIMIT) return undefined;
    if (newest !== slot) sql.exec("DELETE FROM slots WHERE slot <= ?", over);
    sql.exec("INSERT INTO slots VALUES (?, 1) ON CONFLICT (slot) DO UPDATE SET units = units + 1", slot);
    return { remaining: LIMIT - used - 1, resetAt: ((oldest ?? slot) + 1 + WINDOW_SECONDS) * 1_000 };
  }
}

export default worker;
