package import ForgeRecipe

/// What may move when a lock is made anew.
package enum LockUpdate: Sendable, Equatable {
    case none
    case all
    /// These, and what else has to move with them.
    case packages([String])

    /// Whether something of a name may move.
    func frees(_ name: String) -> Bool {
        switch self {
        case .none: false
        case .all: true
        case .packages(let names): names.contains(name)
        }
    }
}

/// A lock's entry and how it came to be.
package struct LockOutcome: Sendable {
    package var entry: LockEntry
    /// Against the entry that was there before.
    package var changes: [LockChange]
    /// Remarks for people.
    package var notes: [String]

    package init(entry: LockEntry, changes: [LockChange], notes: [String] = []) {
        self.entry = entry
        self.changes = changes
        self.notes = notes
    }
}
