package import ForgeBase
import ForgeSystem

/// Everything that a build is made of: what a pin keeps, and what an export writes.
package struct BuildClosure: Sendable {
    /// For people: recipe, cell, parameters.
    package var about: [(String, JSON)]
    /// Results by their keys.
    package var actions: [(name: String, key: Digest)]
    /// What the actions start from: files of the project, parts of the lock, downloads. A tree stands for its files too.
    package var objects: [(digest: Digest, kind: ActionResult.Output.Kind)]

    package init(
        about: [(String, JSON)], actions: [(name: String, key: Digest)],
        objects: [(digest: Digest, kind: ActionResult.Output.Kind)]
    ) {
        self.about = about
        self.actions = actions
        self.objects = objects
    }
}

/// What an export or import has moved.
package struct TransferReport: Sendable, Equatable {
    package var actions = 0
    package var objects = 0
    /// Bytes of the objects.
    package var bytes: Int64 = 0
    /// Objects that were in the cache already.
    package var known = 0
    /// What the file says of itself.
    package var about: JSON = .null
}

/// Closures of builds as single files, for hosts without a network. `docs/cache.md` describes the format.
extension Store {
    private static let format: Int64 = 1
    private static let head = "forge-closure"

    /// Writes a build's results and every object that they or their inputs need to a new file. Equal closures give equal
    /// bytes, whenever and wherever they were built: times that actions took stay behind.
    /// - Throws: `.io` naming what is missing; the file then does not exist.
    package func export(_ closure: BuildClosure, to path: String) throws -> TransferReport {
        let use = try hold()
        defer { withExtendedLifetime(use) {} }
        try flush()
        var wanted: Set<Digest> = []
        func need(_ digest: Digest, _ kind: ActionResult.Output.Kind) throws {
            if wanted.insert(digest).inserted, kind == .tree {
                wanted.formUnion(try Tree.load(digest, from: self).objects)
            }
        }
        for (digest, kind) in closure.objects { try need(digest, kind) }
        var results: [(key: Digest, json: JSON)] = []
        for (name, key) in closure.actions {
            guard let result = try lookup(key) else {
                throw ForgeError(.io, "the result of \(name) is not in the cache", remedy: "build it first")
            }
            for output in result.outputs { try need(output.digest, output.kind) }
            let plain = ActionResult(outputs: result.outputs, provides: result.provides)
            if !results.contains(where: { $0.key == key }) { results.append((key, plain.json)) }
        }
        let objects = wanted.sorted()
        let bytes = objects.reduce(0) { $0 + $1.size }
        let about = JSON.object(
            [("format", .int(Store.format))] + closure.about + [
                ("actions", .int(Int64(results.count))), ("objects", .int(Int64(objects.count))),
                ("bytes", .int(bytes)),
            ])
        let temporary = path + ".new"
        try Files.remove(temporary)
        do {
            let writer = try ClosureWriter(temporary)
            try writer.add(Store.head, Array((about.description + "\n").utf8))
            for digest in objects {
                try writer.add("objects/\(digest.hex)", size: digest.size) { put in try each(digest, put) }
            }
            for (key, result) in results.sorted(by: { $0.key < $1.key }) {
                let json = JSON.object([("key", .string(key.description)), ("result", result)])
                try writer.add("actions/\(key.hex)", Array((json.description + "\n").utf8))
            }
            try writer.finish()
            try Files.move(temporary, to: path)
        } catch {
            try? Files.remove(temporary)
            throw error
        }
        return TransferReport(actions: results.count, objects: objects.count, bytes: bytes, about: about)
    }

    /// Takes in what ``export(_:to:)`` wrote. Every object is hashed before it counts; the results come last, all in one
    /// step, and only if everything that they need is there. Objects of a file that turns out to be cut off are right, but
    /// nothing needs them: the next collection removes them.
    /// - Throws: `.verification` if the file is cut off, was changed, or is no export.
    package func takeIn(_ path: String) throws -> TransferReport {
        try requireWriting()
        let use = try hold()
        defer { withExtendedLifetime(use) {} }
        let reader = try ClosureReader(path)
        guard let first = try reader.next(), first.name == Store.head else {
            throw reader.fault("it is no export of a cache")
        }
        let about = try json(reader, first)
        guard let format = about["format"]?.int else { throw reader.fault("it is no export of a cache") }
        guard format == Store.format else {
            throw ForgeError(
                .verification, "cannot import \(path): it has format \(format), this forge knows \(Store.format)",
                remedy: "import it with the forge that made it, or a newer one")
        }
        var report = TransferReport(about: about)
        var results: [(key: Digest, result: ActionResult)] = []
        while let file = try reader.next() {
            if file.name.hasPrefix("objects/") {
                guard let digest = Digest(hex: file.name.dropFirst(8), size: file.size) else {
                    throw reader.fault("“\(file.name)” is no object")
                }
                try takeObject(digest, reader, &report)
            } else {
                let json = try json(reader, file)
                guard let key = json["key"]?.string.flatMap({ Digest($0) }), file.name == "actions/\(key.hex)",
                    let result = json["result"].flatMap(ActionResult.init(json:))
                else { throw reader.fault("“\(file.name)” is no result") }
                results.append((key, result))
            }
        }
        guard about["actions"]?.int == Int64(results.count), about["objects"]?.int == Int64(report.objects) else {
            throw reader.fault("something is missing from it")
        }
        for (key, result) in results {
            for output in result.outputs {
                for object in try closure(output.digest, output.kind) ?? [output.digest] where try !contains(object) {
                    throw reader.fault("result \(key.hex) needs object \(object), which it does not have")
                }
            }
        }
        report.actions = results.count
        try commit(results)
        return report
    }

    private func json(_ reader: ClosureReader, _ file: (name: String, size: Int64)) throws -> JSON {
        let bytes = try reader.bytes(file.size)
        guard let json = try? JSON(parsing: bytes, file: file.name) else {
            throw reader.fault("“\(file.name)” was changed")
        }
        return json
    }

    private func takeObject(_ digest: Digest, _ reader: ClosureReader, _ report: inout TransferReport) throws {
        report.objects += 1
        report.bytes += digest.size
        if try contains(digest) {
            report.known += 1
            var hasher = SHA256()
            try reader.each(digest.size) { hasher.update($0) }
            guard hasher.finish() == digest else { throw reader.fault("object \(digest) has other bytes") }
            return
        }
        let writer = try writer()
        try reader.each(digest.size) { try writer.write($0) }
        do { _ = try writer.finish(as: digest) } catch let error as ForgeError where error.code == .verification {
            throw reader.fault(error.message)
        }
    }
}
