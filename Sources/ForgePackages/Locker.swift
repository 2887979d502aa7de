package import ForgeBase
package import ForgeRecipe

/// What makes a stage's entry of the lock from its options.
package protocol Locker {
    /// - Parameters:
    ///   - id: the stage's id in the recipe.
    ///   - parameters: the values of the recipe's parameters.
    ///   - request: what the lock is found by: of the options, what decides.
    ///   - previous: the entry that was there before.
    func lock(
        id: String, parameters: [String: String], options: JSON, request: JSON, previous: LockEntry?, update: LockUpdate
    ) throws -> LockOutcome
}

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
