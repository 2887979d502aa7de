import ForgeBase
import ForgePlanner
import ForgeRecipe
import ForgeStore

/// What a build needs of a lock, remembered by the lock's digest: a build with nothing to do would spend most of its time
/// reading hundreds of packages that it has no use for.
struct LockIndex {
    private static let memo = "lock index 1"
    private static let fitMemo = "lock fits 1"
    private let lock: Digest
    private var parts: [String: LockedPart] = [:]

    /// The index of a lock that was read before; nil if it was not, or if an object is gone.
    init?(of lock: [UInt8], in store: Store) throws {
        self.lock = Digest.of(lock)
        guard let known = try store.memo(LockIndex.memo, self.lock.hash),
            let rows = (try? JSON(parsing: known, file: "lock index"))?.array
        else { return nil }
        for row in rows {
            guard let key = row["key"]?.string, let digest = row["digest"]?.string.flatMap({ Digest($0) }),
                let date = row["date"]?.int, try store.contains(digest)
            else { return nil }
            parts[key] = LockedPart(digest: digest, date: date)
        }
    }

    /// The index of a lock, remembered from now on.
    init(_ lock: LockFile, in store: Store) throws {
        self.lock = Digest.of(lock.text)
        var rows: [JSON] = []
        for entry in lock.entries {
            let digest = try store.put(text: Array(entry.json.canonical.description.utf8))
            let key = LockIndex.key(entry.id, entry.request)
            parts[key] = LockedPart(digest: digest, date: entry.date)
            rows.append(
                .object([("key", .string(key)), ("digest", .string(digest.description)), ("date", .int(entry.date))]))
        }
        store.setMemo(LockIndex.memo, self.lock.hash, Array(JSON.array(rows).description.utf8))
    }

    func part(_ id: String, _ request: JSON) -> LockedPart? { parts[LockIndex.key(id, request)] }

    /// Whether these questions were put to these entries of the lock before, and its versions found to fit.
    func isKnownToFit(_ questions: String, of wanted: [LockService.Wanted], in store: Store) throws -> Bool {
        try questions.isEmpty || store.memo(LockIndex.fitMemo, fitKey(questions, wanted)) != nil
    }

    func rememberThatItFits(_ questions: String, of wanted: [LockService.Wanted], in store: Store) {
        if !questions.isEmpty { store.setMemo(LockIndex.fitMemo, fitKey(questions, wanted), [1]) }
    }

    private func fitKey(_ questions: String, _ wanted: [LockService.Wanted]) -> [UInt8] {
        let keys = wanted.map { LockIndex.key($0.id, $0.request) }
        return Digest.of(Array(([lock.hex] + keys + [questions]).joined(separator: "\n").utf8)).hash
    }

    private static func key(_ id: String, _ request: JSON) -> String {
        "\(LockEntry.digest(ofRequest: request).hex) \(id)"
    }
}
