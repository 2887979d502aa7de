package import ForgeBase
package import ForgeSystem

/// Bytes by digest (a content-addressed store). All operations are safe from any thread. An object is never visible
/// under its digest unless it is complete.
package protocol ObjectStore: AnyObject, Sendable {
    /// Whether the object is there, by its name and size.
    func contains(_ digest: Digest) throws -> Bool

    /// The bytes, which have the digest.
    /// - Throws: `.io` with `ForgeError.object` if the object is missing or damaged.
    func read(_ digest: Digest) throws -> [UInt8]

    /// Calls `body` with every piece of the object, in order. Whether the bytes have the digest is known only at the end:
    /// nothing made of them counts before this returns.
    /// - Throws: `.io` with `ForgeError.object` if the object is missing or damaged.
    func each(_ digest: Digest, _ body: (UnsafeRawBufferPointer) throws -> Void) throws

    /// Stores bytes.
    func put(_ bytes: [UInt8]) throws -> Digest

    /// Stores text that compresses well, such as a manifest; the digest is that of `bytes`.
    func put(text bytes: [UInt8]) throws -> Digest

    /// Stores everything from the descriptor's offset to the end of its file, which is hashed as it is copied.
    /// - Parameter label: the file's name, for messages.
    func put(descriptor: borrowing FileDescriptor, label: String) throws -> Digest

    /// Moves a file in, whose digest the caller has checked. The file should be on the store's file system.
    func adopt(file path: String, as digest: Digest) throws

    /// Begins an object that comes in pieces.
    func writer() throws -> ObjectWriter

    /// Writes the bytes at the descriptor's offset, sharing blocks where the file system can.
    /// - Throws: `.io` with `ForgeError.object` if the object is missing or damaged; what was written is then worthless.
    func write(_ digest: Digest, to descriptor: borrowing FileDescriptor) throws

    /// The path of the object's file, for programs that read files; nil if the object is not a file of its own. Never
    /// write to it. Nobody has looked whether its bytes are right.
    func path(of digest: Digest) throws -> String?

    /// Makes everything put so far visible to other processes and, at the next crash of the machine, durable. Who puts
    /// objects in one process and reports their digests to another calls this in between.
    func flush() throws
}

/// Outputs of finished actions by action key. All operations are safe from any thread.
package protocol ActionCache: AnyObject, Sendable {
    /// The result of an earlier run, or nil. A result whose outputs are gone from the store is no result.
    func lookup(_ key: Digest) throws -> ActionResult?

    /// Remembers a result, after making every object put so far durable.
    func commit(_ key: Digest, _ result: ActionResult) throws

    /// Runs `body`, which looks up many results and writes nothing: together they cost less than each alone. Results that
    /// others remember meanwhile may not be found.
    func reading<R>(_ body: () throws -> R) throws -> R
}

extension ActionCache {
    package func reading<R>(_ body: () throws -> R) throws -> R { try body() }
}

extension ObjectStore {
    /// Stores a copy of a file.
    package func put(file path: String) throws -> Digest {
        try put(descriptor: FileDescriptor(opening: path), label: path)
    }

    /// Writes the bytes to a new file.
    /// - Parameter mode: permission bits, whatever the umask.
    /// - Throws: if something has the path already.
    package func export(_ digest: Digest, to path: String, mode: UInt32) throws {
        let file = try FileDescriptor(creating: path)
        do {
            try write(digest, to: file)
            try file.setMode(mode)
        } catch {
            try? Files.remove(path)
            throw error
        }
    }
}

/// What an action made, as the action cache keeps it.
package struct ActionResult: Sendable, Equatable {
    package struct Output: Sendable, Equatable {
        package enum Kind: String, Sendable { case file, tree }

        package var name: String
        package var kind: Kind
        /// Of the bytes, or of the tree's manifest.
        package var digest: Digest

        package init(name: String, kind: Kind, digest: Digest) {
            self.name = name
            self.kind = kind
            self.digest = digest
        }
    }

    package var outputs: [Output]
    /// What the stage says of its outputs, in its own terms.
    package var provides: [JSON]
    /// Wall time of the run.
    package var seconds: Double
    /// User and system time of the run.
    package var cpuSeconds: Double
    /// Peak resident memory of the run, in bytes.
    package var maxMemory: Int64

    package init(
        outputs: [Output], provides: [JSON] = [], seconds: Double = 0, cpuSeconds: Double = 0, maxMemory: Int64 = 0
    ) {
        self.outputs = outputs
        self.provides = provides
        self.seconds = seconds
        self.cpuSeconds = cpuSeconds
        self.maxMemory = maxMemory
    }

    /// As a row of the action cache keeps it.
    package var json: JSON {
        .object([
            (
                "outputs",
                .array(
                    outputs.map {
                        .object([
                            ("name", .string($0.name)), ("kind", .string($0.kind.rawValue)),
                            ("digest", .string($0.digest.description)),
                        ])
                    })
            ),
            ("provides", .array(provides)), ("seconds", .double(seconds)), ("cpuSeconds", .double(cpuSeconds)),
            ("maxMemory", .int(maxMemory)),
        ])
    }

    package init?(json: JSON) {
        guard let list = json["outputs"]?.array, let provides = json["provides"]?.array else { return nil }
        outputs = []
        for item in list {
            guard let name = item["name"]?.string, let kind = item["kind"]?.string.flatMap(Output.Kind.init(rawValue:)),
                let digest = item["digest"]?.string.flatMap({ Digest($0) })
            else { return nil }
            outputs.append(Output(name: name, kind: kind, digest: digest))
        }
        self.provides = provides
        seconds = json["seconds"]?.number ?? 0
        cpuSeconds = json["cpuSeconds"]?.number ?? 0
        maxMemory = json["maxMemory"]?.int ?? 0
    }
}

extension JSON {
    /// A number with or without a fraction; a whole `Double` is written and read back as an integer.
    fileprivate var number: Double? {
        switch self {
        case .double(let value): value
        case .int(let value): Double(value)
        default: nil
        }
    }
}

/// The errors of a store that is not as it should be. A build that meets one has the object made again; elsewhere the
/// user is told.
enum StoreFault {
    static let repair = "run `forge cache repair`, which drops what is damaged, and build again"

    static func missing(_ digest: Digest, in place: String) -> ForgeError {
        var error = ForgeError(.io, "object \(digest) is missing from \(place)", remedy: repair)
        error.object = digest
        return error
    }

    /// JSON of a row. What a database holds is no mistake of the user's.
    static func json(_ text: String, _ row: String) throws(ForgeError) -> JSON {
        do throws(ForgeError) {
            return try JSON(parsing: text, file: row)
        } catch {
            throw ForgeError(.io, "\(row) is damaged", details: [error.message], remedy: repair)
        }
    }

    static func damaged(_ digest: Digest, _ place: String, _ why: String) -> ForgeError {
        var error = ForgeError(.io, "object \(digest) is damaged in \(place): \(why)", remedy: repair)
        error.object = digest
        return error
    }
}
