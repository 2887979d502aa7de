#pragma once
#include <solv/pool.h>
#include <solv/repo.h>
#include <solv/solver.h>
#include <solv/problems.h>
#include <solv/repo_deb.h>
#include <solv/transaction.h>

/* Macros and inline functions of libsolv that Swift can't see. */

/* The text of a solvable: name-version.architecture. */
static inline const char *forge_solvable_text(Pool *pool, Id id) { return pool_solvid2str(pool, id); }

/* First solvable of a repository and one past its last. */
static inline Id forge_repo_start(Repo *repo) { return repo->start; }
static inline Id forge_repo_end(Repo *repo) { return repo->end; }

/* Every `name:any` and provides becomes known to the pool. */
static inline void forge_pool_finish(Pool *pool) {
    pool_addfileprovides(pool);
    pool_createwhatprovides(pool);
}

/* The solvables that a solver chose to install. */
static inline void forge_solver_installed(Solver *solver, Queue *out) {
    Transaction *transaction = solver_create_transaction(solver);
    int cut = transaction_installedresult(transaction, out);
    queue_truncate(out, cut);
    transaction_free(transaction);
}
