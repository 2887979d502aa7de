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
