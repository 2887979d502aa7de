package import ForgeBase

/// One part of what an action's key was made of, as the engine names it.
package struct KeyPart: Sendable, Equatable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// What a build did about one action.
package struct BuildAction: Sendable, Equatable {
    package enum Outcome: String, Sendable {
        case hit, ran, failed, skipped
        /// The plan no longer has an action of this name.
        case gone
    }

    package var name: String
    /// Place in the plan.
    package var position: Int
    /// Nil if the action was skipped before its inputs were known.
    package var key: Digest?
    package var outcome: Outcome
    /// Seconds from the start of the build to that of the action; 0 if it did not run.
    package var start: Double
    /// Wall time; of a hit, what it took when it ran.
    package var seconds: Double
    /// Processor time of the action and its children, likewise.
    package var cpuSeconds: Double
    /// The largest resident set of one of its processes, in bytes, likewise.
    package var maxMemory: Int64
    /// Bytes of what it made: of a tree, those of its files.
    package var outputBytes: Int64
    /// What made each input: name of the key's part → `action.output`.
    package var sources: JSON

    package init(
        name: String, position: Int, key: Digest?, outcome: Outcome, start: Double = 0, seconds: Double = 0,
        cpuSeconds: Double = 0, maxMemory: Int64 = 0, outputBytes: Int64 = 0, sources: JSON = .object([])
    ) {
        self.name = name
        self.position = position
        self.key = key
        self.outcome = outcome
        self.start = start
        self.seconds = seconds
        self.cpuSeconds = cpuSeconds
        self.maxMemory = maxMemory
        self.outputBytes = outputBytes
        self.sources = sources
    }
}

/// A build that is over.
package struct BuildRecord: Sendable, Equatable {
    /// Rising; 0 before it is recorded.
    package var id: Int64 = 0
    package var recipe: String
    package var cell: String
    /// Canonical JSON of the recipe's parameters; empty if an older forge did not say. Builds that share recipe, cell and
    /// parameters are a lineage: each is compared with the one before it in its own.
    package var parameters: String
    /// Seconds since 1970.
    package var started: Int64
    /// Wall time.
    package var seconds: Double
    /// `done`, `failed` or `interrupted`.
    package var outcome: String
    package var details: JSON
    package var ran = 0
    package var hits = 0
    package var failed = 0
    package var skipped = 0
    /// Processor time of the actions that ran.
    package var cpuSeconds = 0.0
    /// Bytes of what the actions made that ran.
    package var madeBytes: Int64 = 0
    /// Wall time that the hits took when they ran.
    package var savedSeconds = 0.0
    /// Bytes that the hits made when they ran.
    package var savedBytes: Int64 = 0
    /// Of the database; 0 before it is recorded.
    package var lineage: Int64 = 0

    package init(
        recipe: String, cell: String, parameters: String, started: Int64, seconds: Double, outcome: String,
        details: JSON = .object([])
    ) {
        self.recipe = recipe
        self.cell = cell
        self.parameters = parameters
        self.started = started
        self.seconds = seconds
        self.outcome = outcome
        self.details = details
    }
}

/// Builds of one recipe with the same parameters, and the keys that the newest had.
package struct Lineage: Sendable, Equatable {
    package var id: Int64
    /// nil: of an older forge, or never recorded.
    package var state: KeyState?
}
