import ForgeBase

/// The tables of `forge.db`; `cache/README.md` shows the same for people.
enum Schema {
    /// One script per version of the schema. Never change one that was released: add the next.
    static let versions = [
        """
        CREATE TABLE objects(
            hash BLOB PRIMARY KEY, size INTEGER NOT NULL, encoding INTEGER NOT NULL, bytes BLOB NOT NULL);
        CREATE TABLE actions(
            key BLOB PRIMARY KEY, result TEXT NOT NULL, created INTEGER NOT NULL, last_used INTEGER NOT NULL);
        CREATE TABLE builds(
            id INTEGER PRIMARY KEY, recipe TEXT NOT NULL, cell TEXT NOT NULL, started INTEGER NOT NULL,
            seconds REAL NOT NULL, outcome TEXT NOT NULL, details TEXT NOT NULL);
        CREATE INDEX builds_of_recipe ON builds(recipe, id);
        CREATE TABLE build_actions(
            build INTEGER NOT NULL REFERENCES builds(id) ON DELETE CASCADE, position INTEGER NOT NULL,
            name TEXT NOT NULL, key BLOB, outcome TEXT NOT NULL, seconds REAL NOT NULL,
            PRIMARY KEY(build, position)) WITHOUT ROWID;
        CREATE INDEX build_actions_of_name ON build_actions(name, build);
        CREATE INDEX build_actions_of_key ON build_actions(key);
        CREATE TABLE key_parts(key BLOB PRIMARY KEY, parts TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE pins(
            name TEXT NOT NULL, object BLOB NOT NULL, kind TEXT NOT NULL, PRIMARY KEY(name, object)) WITHOUT ROWID;
        CREATE TABLE files(path TEXT PRIMARY KEY, identity BLOB NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE memo(
            kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;
        """,
        // History that grows with what changed: builds of one recipe with the same parameters are a lineage, and an action
        // has a row where it ran, failed or was skipped, and where it was a hit with another key than the time before.
        // Builds of version 1 say nothing of parameters; they are lineages of their own, with every row they had.
        """
        CREATE TABLE lineages(
            id INTEGER PRIMARY KEY, recipe TEXT NOT NULL, cell TEXT NOT NULL, parameters TEXT NOT NULL, state BLOB NOT NULL,
            UNIQUE(recipe, cell, parameters));
        INSERT INTO lineages(recipe, cell, parameters, state)
            SELECT recipe, cell, '', x'' FROM builds GROUP BY recipe, cell ORDER BY min(id);
        ALTER TABLE builds ADD COLUMN lineage INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN ran INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN hits INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN cpu_seconds REAL NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN made_bytes INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN saved_seconds REAL NOT NULL DEFAULT 0;
        ALTER TABLE builds ADD COLUMN saved_bytes INTEGER NOT NULL DEFAULT 0;
        UPDATE builds SET
            lineage = (SELECT id FROM lineages WHERE recipe = builds.recipe AND cell = builds.cell),
            ran = (SELECT count(*) FROM build_actions WHERE build = builds.id AND outcome = 'ran'),
            hits = (SELECT count(*) FROM build_actions WHERE build = builds.id AND outcome = 'hit'),
            failed = (SELECT count(*) FROM build_actions WHERE build = builds.id AND outcome = 'failed'),
            skipped = (SELECT count(*) FROM build_actions WHERE build = builds.id AND outcome = 'skipped');
        CREATE INDEX builds_of_lineage ON builds(lineage, id);
        ALTER TABLE build_actions RENAME TO build_actions_1;
        CREATE TABLE build_actions(
            lineage INTEGER NOT NULL, name TEXT NOT NULL, build INTEGER NOT NULL, position INTEGER NOT NULL, key BLOB,
            outcome TEXT NOT NULL, start REAL NOT NULL, seconds REAL NOT NULL, cpu_seconds REAL NOT NULL,
            max_memory INTEGER NOT NULL, output_bytes INTEGER NOT NULL, sources TEXT NOT NULL,
            PRIMARY KEY(lineage, name, build)) WITHOUT ROWID;
        INSERT OR IGNORE INTO build_actions
            SELECT lineage, name, build, position, key, a.outcome, 0, a.seconds, 0, 0, 0, ''
            FROM build_actions_1 a JOIN builds ON builds.id = build;
        DROP TABLE build_actions_1;
        CREATE INDEX build_actions_of_build ON build_actions(build, position);
        CREATE INDEX build_actions_of_key ON build_actions(key);
        """,
        // Seals, see `RowSeal`.
        """
        ALTER TABLE actions ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE memo ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE files ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
        UPDATE actions SET seal = forge_seal(key, result);
        UPDATE memo SET seal = forge_seal(kind, key, value);
        UPDATE files SET seal = forge_seal(path, identity, digest);
        """,
    ]
}

extension Digest {
    /// 40 bytes: the hash, then the size as a 64-bit big-endian number. How columns hold a whole digest.
    var stored: [UInt8] {
        hash + withUnsafeBytes(of: size.bigEndian) { Array($0) }
    }

    init?(stored bytes: [UInt8]) {
        guard bytes.count == 40 else { return nil }
        let size = bytes[32...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        self.init(hash: bytes[..<32], size: Int64(bitPattern: size))
    }
}
