package import ForgeBase

/// What to choose out of an index.
package struct Selection: Sendable, Equatable {
    /// A package that a lock holds at one version.
    package struct Held: Sendable, Equatable {
        package var name: String
        package var version: String
        package var architecture: String
        /// SHA-256 of the package file, hexadecimal.
        package var sha256: String

        package init(name: String, version: String, architecture: String, sha256: String) {
            self.name = name
            self.version = version
            self.architecture = architecture
            self.sha256 = sha256
        }
    }

    package var base: BaseSet
    /// `name`, `name=version` or `name/suite`, in the order of the recipe.
    package var packages: [String]
    package var recommends: Bool
    /// Ask for usr-is-merged, so that apt's rules don't bring in usrmerge and perl.
    package var mergedUsr: Bool
    package var pins: [PackagePin]
    package var held: [Held] = []

    package init(
        base: BaseSet = .required, packages: [String], recommends: Bool = false, mergedUsr: Bool = true,
        pins: [PackagePin] = []
    ) {
        self.base = base
        self.packages = packages
        self.recommends = recommends
        self.mergedUsr = mergedUsr
        self.pins = pins
    }

    /// The packages that apt would install for this selection on an empty system.
    /// - Throws: `ForgeError` `.badInput` for names that don't exist and for sets that can't be installed.
    package func resolve(in index: PackageIndex) throws(ForgeError) -> Resolver.Solution {
        var policy = Policy(pins: pins)
        for package in held {
            guard let name = index.names.id(package.name) else { continue }
            policy.forced[name] = try package.find(in: index)
        }
        var faults: [String] = []
        var notes: [String] = []
        for request in packages {
            if let fault = force(Request(request), in: index, &policy) { faults.append(fault) }
        }
        let resolver = Resolver(index: index, policy: policy, recommends: recommends)
        var roots = resolver.base(base)
        if mergedUsr, let id = index.names.id("usr-is-merged"), let merged = resolver.candidates[Int(id)] {
            roots.append(merged)
        }
        for request in packages.map(Request.init) {
            if let id = index.names.id(request.name), let candidate = resolver.candidates[Int(id)] {
                roots.append(candidate)
            } else if let provider = resolver.onlyProvider(of: request.name) {
                roots.append(provider)
                let name = index.name(of: index.versions[Int(provider)])
                notes.append("\(request.name) is virtual; \(name) is the one package that provides it")
            } else {
                faults.append(resolver.reason(missing: request.name))
            }
        }
        guard faults.isEmpty else {
            throw ForgeError(
                .badInput, faults.count == 1 ? "no such package" : "\(faults.count) packages can't be found",
                details: faults,
                remedy: "correct the names in the recipe's package list, or add the suite that has them")
        }
        var solution = try resolver.solve(roots: roots)
        solution.notes = notes + solution.notes
        return solution
    }

    /// One item of the list of packages.
    private struct Request {
        var name: String
        var version: String?
        var suite: String?

        init(_ text: String) {
            name = text
            if let equals = text.firstIndex(of: "=") {
                name = String(text[..<equals])
                version = String(text[text.index(after: equals)...])
            } else if let slash = text.firstIndex(of: "/") {
                name = String(text[..<slash])
                suite = String(text[text.index(after: slash)...])
            }
        }
    }

    /// Makes the version that a request names the only one to choose; the reason if there is none.
    private func force(_ request: Request, in index: PackageIndex, _ policy: inout Policy) -> String? {
        guard request.version != nil || request.suite != nil, let name = index.names.id(request.name) else {
            return nil
        }
        let versions = index.versions(named: name)
        guard !versions.isEmpty else { return nil }
        let fitting = versions.filter { id in
            let version = index.versions[Int(id)]
            if let wanted = request.version { return Glob.matches(wanted, index.versionText(of: version)) }
            return version.origins.contains { index.origins[Int($0)].suite == request.suite }
        }
        let best = fitting.max { a, b in
            DebianVersion.compare(
                index.versionBytes(index.versions[Int(a)]), index.versionBytes(index.versions[Int(b)])) < 0
        }
        guard let best else {
            let known = versions.map { index.versionText(of: index.versions[Int($0)]) }.joined(separator: ", ")
            return
                "\(request.name): no version \(request.version ?? "in suite \(request.suite ?? "")"); there is \(known)"
        }
        policy.forced[name] = best
        return nil
    }
}

extension Selection.Held {
    /// The number of the version that is exactly this one, down to its bytes.
    func find(in index: PackageIndex) throws(ForgeError) -> Int32? {
        guard let name = index.names.id(name) else { return nil }
        for id in index.versions(named: name) {
            let candidate = index.versions[Int(id)]
            guard index.versionText(of: candidate) == version else { continue }
            if try index.stanza(of: candidate)["SHA256"]?.lowercased() == sha256 { return id }
        }
        return nil
    }
}

extension Resolver {
    /// The one package that provides a virtual name, as apt takes it; nil if there are several or none.
    func onlyProvider(of name: String) -> Int32? {
        guard let id = index.names.id(name), index.versions(named: id).isEmpty else { return nil }
        let providers = Set(
            index.providers(of: id).map(\.version).filter { version in
                candidates[Int(index.versions[Int(version)].name)] == version
            })
        return providers.count == 1 ? providers.first : nil
    }

    /// Why a name can't be chosen: unknown, virtual, or forbidden by a pin.
    func reason(missing name: String) -> String {
        guard let id = index.names.id(name) else { return "\(name): unknown\(hint(for: name))" }
        if !index.versions(named: id).isEmpty { return "\(name): a pin below zero forbids every version" }
        let providers = Set(
            index.providers(of: id).filter { candidates[Int(index.versions[Int($0.version)].name)] == $0.version }
                .map { index.name(of: index.versions[Int($0.version)]) })
        if providers.isEmpty { return "\(name): other packages mention it, but no suite has it" }
        let names = providers.sorted { $0.precedes($1) }
        let shown = names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", …" : "")
        return "\(name): a virtual package; name one that provides it: \(shown)"
    }

    /// The nearest name that can be installed.
    private func hint(for name: String) -> String {
        let known = candidates.lazy.compactMap { $0 }.map { index.name(of: index.versions[Int($0)]) }
        return Suggestion.hint(for: name, inMany: known)
    }
}
