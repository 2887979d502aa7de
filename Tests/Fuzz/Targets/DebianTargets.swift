import ForgeBase
import ForgePackages
import ForgeRecipe

/// A `Packages` file: each version's stanza says what the index says of it, and a selection has an answer.
func fuzzPackages(_ input: [UInt8]) throws {
    let origin = IndexOrigin(archive: "a", suite: "s", codename: "c", component: "main", pin: 500)
    let index = try Refusal.of(input, file: "f").unless {
        var index = PackageIndex(architecture: "amd64")
        try index.add(input, origin: origin, file: "f")
        // The same text as another suite: every version is known already, or differs by its hash.
        try index.add(input, origin: origin, file: "f")
        return index
    }
    guard let index else { return }
    for version in index.versions {
        let name = index.name(of: version)
        try require(!name.isEmpty && !index.versionText(of: version).isEmpty, "an empty name or version")
        guard let stanza = try Refusal().unless({ try index.stanza(of: version) }) else { continue }
        try require(stanza["Package"] == name, "package \(stanza["Package"] ?? "") under the name \(name)")
        try require(stanza["Version"] == index.versionText(of: version), "another version than the stanza's")
        let text = index.versionText(of: version)
        try require(DebianVersion.compare(text, text) == 0, "\(text) is not itself")
    }
    guard index.count <= 64, let first = index.versions.first else { return }
    var selection = Selection(base: .essential, packages: [index.name(of: first)], recommends: true)
    let solution = try Refusal().unless { try selection.resolve(in: index) }
    selection.recommends = false
    _ = try Refusal().unless { try selection.resolve(in: index) }
    guard let solution else { return }
    try require(Set(solution.versions).count == solution.versions.count, "a version twice in a solution")
}

/// A `Release` file, and control files in general.
func fuzzRelease(_ input: [UInt8]) throws {
    let stanzas = try Refusal.of(input, file: "f").unless { try Deb822Stanza.parse(input, file: "f") }
    for stanza in stanzas ?? [] {
        for field in stanza.fields {
            try require(stanza[field.name] == field.value, "field \(field.name) is not found by its name")
        }
    }
    // What a whole file lacks has no line.
    guard let release = try Refusal().unless({ try ReleaseFile(parsing: input, name: "f") }) else { return }
    for (path, digest) in release.files { try require(digest.size >= 0, "\(path) has a negative size") }
    try require(
        HTTPDate.seconds(snapshot: HTTPDate.snapshot(release.date)) == release.date, "a date that is not itself")
    _ = try Refusal().unless {
        try release.indexes(components: release.components, architecture: "amd64", isFlat: false, name: "f")
    }
}

/// A `Sources` file: each source has one .dsc, and files that are below the archive.
func fuzzSources(_ input: [UInt8]) throws {
    let suite = DebianRequest.Suite(archive: "a", suite: "s")
    var index = SourceIndex(wanted: ["hello", "linux"])
    guard (try Refusal().unless { try index.add(input, of: suite, file: "f") }) != nil else { return }
    for source in index.found {
        try require(index.wanted.contains(source.name), "source \(source.name), which nobody wants")
        try require(DebianVersion.isValid(source.version), "version \(source.version)")
        try require(source.files.filter { $0.path.hasSuffix(".dsc") }.count == 1, "not one .dsc")
        for file in source.files {
            let parts = file.path.split(separator: "/", omittingEmptySubsequences: false)
            try require(parts.allSatisfy { !["", ".", ".."].contains($0) }, "path \(file.path)")
            try require(file.digest.size >= 0, "a negative size")
        }
    }
}
