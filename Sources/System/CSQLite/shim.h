#pragma once
#include <sqlite3.h>

/* A macro with a cast, which Swift does not import. */
static inline sqlite3_destructor_type forge_sqlite_transient(void) { return SQLITE_TRANSIENT; }

/* Variadic, which Swift does not import. Leaves the write-ahead log for the next writer to fold in. */
static inline int forge_sqlite_no_checkpoint_on_close(sqlite3 *db) {
    return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}
