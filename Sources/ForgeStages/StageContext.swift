package import ForgeBase
package import ForgeEngine
package import ForgeStore

/// Everything a built-in stage works with. It runs as uid 0 of namespaces of its own and touches nothing else.
package struct StageContext: Sendable {
    package let store: Store
    /// An empty directory of this action.
    package let scratch: String
    package let inputs: [ResolvedInput]
    /// The options of the stage, already checked against its `stage.yaml`.
    package let options: JSON
    /// Seconds since 1970 that every time in an artifact has.
    package let epoch: Int64
    /// Debian's name of the architecture, for example `amd64`.
    package let architecture: String
    /// Threads to use at most. No output depends on it.
    package let jobs: Int
    /// By how much the clock of programs is wrong on purpose; for tests of reproducibility.
    package let clockOffset: String?
    /// Called now and then with how far the stage is: done, total, unit, what.
    package let progress: @Sendable (Int64, Int64, String, String) -> Void
    /// Called with every piece of text for the action's log.
    package let log: @Sendable ([UInt8]) -> Void

    package init(
        store: Store, scratch: String, inputs: [ResolvedInput], options: JSON, epoch: Int64, architecture: String,
        jobs: Int,
        clockOffset: String? = nil,
        progress: @escaping @Sendable (Int64, Int64, String, String) -> Void = { _, _, _, _ in },
        log: @escaping @Sendable ([UInt8]) -> Void = { _ in }
    ) {
        self.store = store
        self.scratch = scratch
        self.inputs = inputs
        self.options = options
        self.epoch = epoch
        self.architecture = architecture
        self.jobs = jobs
        self.clockOffset = clockOffset
        self.progress = progress
        self.log = log
    }

    /// The inputs of a name, in the recipe's order.
    package func inputs(_ name: String) -> [ResolvedInput] { inputs.filter { $0.name == name } }

    /// The tree of an input that must be there once.
    package func tree(_ name: String) throws -> Tree {
        guard let input = inputs(name).first else { throw ForgeError(.bug, "the stage has no input “\(name)”") }
        return try Tree.load(input.digest, from: store)
    }

    /// Writes a line to the action's log.
    package func note(_ line: String) { log(Array((line + "\n").utf8)) }
}
