import ForgeBase

/// Reads the JSON of a lock, and refuses everything that forge would not have written.
struct LockReader {
    /// For the line of a fault.
    let text: [UInt8]
    let file: String

    typealias Path = [JSONLocator.Step]

    func entries(_ json: JSON) throws(ForgeError) -> [LockEntry] {
        let fields = try object(json, at: [], required: ["version", "entries"])
        guard let version = fields["version"]?.int else { throw fault("“version” is not a number", [.key("version")]) }
        guard version == LockFile.version else {
            throw fault(
                "this lock has format \(version); this forge reads format \(LockFile.version)", [.key("version")],
                remedy: version > LockFile.version ? "use the newer forge that wrote it" : "run `forge lock` again")
        }
        guard let list = fields["entries"]?.array else { throw fault("“entries” is not a list", [.key("entries")]) }
        var entries: [LockEntry] = []
        for (i, item) in list.enumerated() {
            let path: Path = [.key("entries"), .index(i)]
            let entry = try entry(item, at: path)
            guard !entries.contains(where: { $0.id == entry.id && $0.parameters == entry.parameters }) else {
                throw fault("stage “\(entry.id)” is locked twice", path)
            }
            entries.append(entry)
        }
        return LockFile(entries: entries).entries
    }

    func entry(_ json: JSON, at path: Path) throws(ForgeError) -> LockEntry {
        let required = ["id", "parameters", "lock", "request-digest", "request", "date"]
        let bodies = ["snapshot", "archives", "packages", "sources", "downloads", "images", "content"]
        let fields = try object(json, at: path, required: required, optional: bodies)
        var parameters: [String: String] = [:]
        for (name, value) in fields["parameters"]?.object ?? [] {
            guard let value = value.string else { throw fault("parameter “\(name)” is not text", path) }
            parameters[name] = value
        }
        let body: LockEntry.Body
        if let content = fields["content"] {
            body = .other(content)
        } else if let list = fields["downloads"] {
            body = .downloads(try downloads(list, at: path + [.key("downloads")]))
        } else if let list = fields["images"] {
            body = .images(try images(list, at: path + [.key("images")]))
        } else {
            body = .debian(try debian(fields, at: path))
        }
        let entry = LockEntry(
            id: try string(fields, "id", path), parameters: parameters, locker: try string(fields, "lock", path),
            request: fields["request"] ?? .null, date: try int(fields, "date", path), body: body)
        guard entry.requestDigest.hex == fields["request-digest"]?.string else {
            throw fault("the request of stage “\(entry.id)” was edited", path + [.key("request")])
        }
        return entry
    }

    private func debian(_ fields: [String: JSON], at path: Path) throws(ForgeError) -> DebianLock {
        guard let archives = fields["archives"]?.array, let packages = fields["packages"]?.array else {
            throw fault("an entry needs “archives” and “packages”, or “content”", path)
        }
        var lock = DebianLock(snapshot: try string(fields, "snapshot", path), archives: [], packages: [])
        for (i, item) in archives.enumerated() {
            lock.archives.append(try archive(item, at: path + [.key("archives"), .index(i)]))
        }
        var seen: Set<String> = []
        for (i, item) in packages.enumerated() {
            let place = path + [.key("packages"), .index(i)]
            let package = try package(item, at: place)
            guard seen.insert("\(package.name):\(package.architecture)").inserted else {
                throw fault("package “\(package.name)” is locked twice", place)
            }
            guard lock.archives.contains(where: { $0.archive == package.archive && $0.suite == package.suite }) else {
                throw fault("package “\(package.name)” is of an archive that is not locked", place + [.key("archive")])
            }
            lock.packages.append(package)
        }
        for (i, item) in (fields["sources"]?.array ?? []).enumerated() {
            let place = path + [.key("sources"), .index(i)]
            let source = try source(item, at: place)
            guard !lock.sources.contains(where: { $0.name == source.name }) else {
                throw fault("source “\(source.name)” is locked twice", place)
            }
            guard lock.archives.contains(where: { $0.archive == source.archive && $0.suite == source.suite }) else {
                throw fault("source “\(source.name)” is of an archive that is not locked", place + [.key("archive")])
            }
            lock.sources.append(source)
        }
        return lock
    }

    private func downloads(_ json: JSON, at path: Path) throws(ForgeError) -> [LockedDownload] {
        var files: [LockedDownload] = []
        for (i, item) in (json.array ?? []).enumerated() {
            let place = path + [.index(i)]
            let fields = try object(item, at: place, required: ["name", "sha256"], optional: ["size"])
            let name = try string(fields, "name", place)
            guard !files.contains(where: { $0.name == name }) else { throw fault("“\(name)” is locked twice", place) }
            let sha256 = try digest(fields.merging(["size": .int(0)]) { old, _ in old }, place).hex
            let size = fields["size"] == nil ? nil : try int(fields, "size", place)
            files.append(LockedDownload(name: name, file: LockedBytes(sha256: sha256, size: size)))
        }
        return files
    }

    private func images(_ json: JSON, at path: Path) throws(ForgeError) -> [LockedImage] {
        var images: [LockedImage] = []
        for (i, item) in (json.array ?? []).enumerated() {
            let place = path + [.index(i)]
            let fields = try object(item, at: place, required: ["name", "media-type", "sha256", "size", "blobs"])
            var blobs: [Digest] = []
            for (i, blob) in (fields["blobs"]?.array ?? []).enumerated() {
                let place = place + [.key("blobs"), .index(i)]
                blobs.append(try digest(try object(blob, at: place, required: ["sha256", "size"]), place))
            }
            let name = try string(fields, "name", place)
            guard !images.contains(where: { $0.name == name }) else { throw fault("“\(name)” is locked twice", place) }
            images.append(
                LockedImage(
                    name: name, manifest: try digest(fields, place),
                    mediaType: try string(fields, "media-type", place), blobs: blobs))
        }
        return images
    }

    private func source(_ json: JSON, at path: Path) throws(ForgeError) -> LockedSource {
        let fields = try object(json, at: path, required: ["name", "version", "archive", "suite", "files"])
        var files: [LockedSource.File] = []
        for (i, item) in (fields["files"]?.array ?? []).enumerated() {
            let place = path + [.key("files"), .index(i)]
            let file = try object(item, at: place, required: ["path", "sha256", "size"])
            files.append(LockedSource.File(path: try relative(file, place), digest: try digest(file, place)))
        }
        return LockedSource(
            name: try word(fields, "name", path), version: try word(fields, "version", path),
            archive: try word(fields, "archive", path), suite: try string(fields, "suite", path), files: files)
    }

    private func archive(_ json: JSON, at path: Path) throws(ForgeError) -> LockedArchive {
        let fields = try object(
            json, at: path,
            required: [
                "archive", "suite", "codename", "components", "date", "sha256", "size", "signed-by", "indexes",
            ])
        var components: [String] = []
        for item in fields["components"]?.array ?? [] {
            guard let name = item.string else { throw fault("a component is not text", path + [.key("components")]) }
            components.append(name)
        }
        var indexes: [LockedArchive.Index] = []
        for (i, item) in (fields["indexes"]?.array ?? []).enumerated() {
            let place = path + [.key("indexes"), .index(i)]
            let index = try object(item, at: place, required: ["path", "sha256", "size"])
            indexes.append(LockedArchive.Index(path: try relative(index, place), digest: try digest(index, place)))
        }
        return LockedArchive(
            archive: try word(fields, "archive", path), suite: try string(fields, "suite", path),
            codename: try string(fields, "codename", path), components: components,
            date: try int(fields, "date", path), release: try digest(fields, path),
            signedBy: try string(fields, "signed-by", path), indexes: indexes)
    }

    private func package(_ json: JSON, at path: Path) throws(ForgeError) -> LockedPackage {
        let fields = try object(
            json, at: path,
            required: [
                "name", "version", "architecture", "sha256", "size", "path", "archive", "suite", "source",
            ], optional: ["source-version", "section", "essential"])
        let version = try word(fields, "version", path)
        return LockedPackage(
            name: try word(fields, "name", path), version: version,
            architecture: try word(fields, "architecture", path), digest: try digest(fields, path),
            path: try relative(fields, path), archive: try word(fields, "archive", path),
            suite: try string(fields, "suite", path), source: try word(fields, "source", path),
            sourceVersion: fields["source-version"] == nil ? version : try word(fields, "source-version", path),
            section: fields["section"]?.string ?? "", isEssential: fields["essential"]?.bool ?? false)
    }

    // MARK: Values

    private func object(
        _ json: JSON, at path: Path, required: [String], optional: [String] = []
    ) throws(ForgeError) -> [String: JSON] {
        guard let list = json.object else { throw fault("expected an object", path) }
        for (key, _) in list where !required.contains(key) && !optional.contains(key) {
            throw fault("unknown key “\(key)”\(Suggestion.hint(for: key, in: required + optional))", path + [.key(key)])
        }
        for key in required where !list.contains(where: { $0.0 == key }) { throw fault("“\(key)” is missing", path) }
        return Dictionary(list, uniquingKeysWith: { first, _ in first })
    }

    private func string(_ fields: [String: JSON], _ key: String, _ path: Path) throws(ForgeError) -> String {
        guard let value = fields[key]?.string else {
            throw fault("“\(key)” is missing or not text", path + [.key(key)])
        }
        return value
    }

    /// Names, versions and architectures: what Debian allows in them, so that they are safe in file names.
    private func word(_ fields: [String: JSON], _ key: String, _ path: Path) throws(ForgeError) -> String {
        let value = try string(fields, key, path)
        guard let first = value.utf8.first, LockReader.isAlphanumeric(first),
            value.utf8.allSatisfy({ LockReader.isAlphanumeric($0) || "+-.:~_".utf8.contains($0) })
        else { throw fault("“\(value)” can't be a \(key)", path + [.key(key)]) }
        return value
    }

    private func int(_ fields: [String: JSON], _ key: String, _ path: Path) throws(ForgeError) -> Int64 {
        guard let value = fields[key]?.int, value >= 0 else {
            throw fault("“\(key)” is not a whole number", path + [.key(key)])
        }
        return value
    }

    private func digest(_ fields: [String: JSON], _ path: Path) throws(ForgeError) -> Digest {
        let size = try int(fields, "size", path)
        guard let digest = Digest(hex: try string(fields, "sha256", path), size: size) else {
            throw fault("“sha256” is not 64 lower-case hexadecimal digits", path + [.key("sha256")])
        }
        return digest
    }

    /// A path that stays below the archive's root, in characters that mean themselves in a URL.
    private func relative(_ fields: [String: JSON], _ path: Path) throws(ForgeError) -> String {
        let value = try string(fields, "path", path)
        let parts = value.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }),
            value.utf8.allSatisfy({ LockReader.isAlphanumeric($0) || "+-.:~_/%=@,".utf8.contains($0) })
        else { throw fault("“\(value)” is no path below an archive", path + [.key("path")]) }
        return value
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a)
    }

    private func fault(_ message: String, _ path: Path, remedy: String? = nil) -> ForgeError {
        ForgeError(
            .badInput, "not a valid lock: \(message)", at: JSONLocator(text: text, file: file).location(of: path),
            remedy: remedy ?? "take the file from version control again, or make a new one with `forge lock --update`")
    }
}
