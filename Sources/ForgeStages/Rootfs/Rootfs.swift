import ForgeArchive
import ForgeBase
import ForgeEngine
package import ForgeScripts
import ForgeStore
import ForgeSystem
import Glibc

/// The stage `rootfs`: a root file system of Debian packages, configured as their maintainer scripts and the recipe say.
package func runRootfs(_ context: StageContext) throws -> StageResult {
    let options = try RootfsOptions(context.options)
    let packages = try loadPackages(context)
    let plan = try InstallPlan(packages)
    let path = context.scratch + "/root"
    try Files.makeDirectories(path)
    chmod(path, 0o755)
    let root = try RootDirectory(path)
    let program = RootProgram(
        root: path, epoch: context.epoch, log: context.log, clockOffset: context.clockOffset)
    let placement = FilePlacement(
        root: root, packages: packages, store: context.store, filter: options.filter, epoch: context.epoch,
        jobs: context.jobs)
    let dpkg = Dpkg(root: root, store: context.store, packages: packages, program: program)
    try prepare(root, packages, context.architecture)
    try dpkg.begin()
    var configured: [Int] = []
    for (number, phase) in plan.phases.enumerated() {
        context.progress(Int64(configured.count), Int64(packages.count), "items", "configure packages")
        // The first scripts need each other's programs, so everything essential is there before any of them runs.
        if number > 0 { try dpkg.runPreinst(phase) }
        let shipped = try placement.place(phase)
        try dpkg.record(phase, lost: placement.lost)
        for (index, lost) in placement.lost where configured.contains(index) {
            try dpkg.writeList(of: index, lost: lost)
        }
        if number == 0 {
            try dpkg.runPreinst(phase)
            try options.preseed(program)
        } else {
            try dpkg.activateTriggers(for: shipped, of: configured)
        }
        try dpkg.configure()
        configured += phase
    }
    try options.apply(to: root, program: program, epoch: context.epoch)
    try RootfsCleaning(root: root, options: options, epoch: context.epoch).run()
    context.progress(0, 1, "items", "store the tree")
    var tree = try TreeReader.ingest(directory: path, into: context.store, jobs: context.jobs)
    if !placement.devices.isEmpty {
        let made = Set(placement.devices.map(\.path))
        tree = try Tree(tree.entries.filter { !made.contains($0.path) } + placement.devices)
    }
    return try .tree(tree, in: context.store, provides: packages.map(\.json))
}

/// The packages of the input, unpacked into the store, in the order of their names.
private func loadPackages(_ context: StageContext) throws -> [DebPackage] {
    var files: [(name: String, digest: Digest)] = []
    for input in context.inputs("packages") {
        for entry in try Tree.load(input.digest, from: context.store).entries {
            guard case .file(let digest) = entry.kind, entry.path.bytes.suffix(4).elementsEqual(".deb".utf8) else {
                continue
            }
            files.append((entry.path.lastPart.description, digest))
        }
    }
    guard !files.isEmpty else {
        throw ForgeError(.badInput, "the input “packages” has no .deb file", remedy: "check the stage that makes it")
    }
    // The largest first, so that no thread is left alone with one at the end.
    files.sort { $0.digest.size != $1.digest.size ? $0.digest.size > $1.digest.size : $0.name.precedes($1.name) }
    let all = files
    let loaded = Locked<[DebPackage]>([])
    try Threads.forEach(all.count, width: context.jobs) { index in
        let package = try DebPackage(
            file: all[index].name, digest: all[index].digest, store: context.store, scratch: context.scratch)
        let done = loaded.withLock { list in
            list.append(package)
            return list.count
        }
        context.progress(Int64(done), Int64(all.count), "items", "unpack packages")
    }
    let packages = loaded.withLock { $0 }.sorted {
        $0.databaseName != $1.databaseName ? $0.databaseName.precedes($1.databaseName) : $0.version.precedes($1.version)
    }
    for (one, next) in zip(packages, packages.dropFirst()) where one.databaseName == next.databaseName {
        throw ForgeError(
            .badInput, "the package \(one.name) is there twice: \(one.file) and \(next.file)",
            remedy: "leave one of them out of the package list")
    }
    for package in packages where package.architecture != "all" && package.architecture != context.architecture {
        throw ForgeError(
            .badInput, "\(package.file) is for \(package.architecture), the recipe for \(context.architecture)")
    }
    guard packages.contains(where: { $0.name == "dpkg" }) else {
        throw ForgeError(
            .badInput, "the packages are no system: dpkg is not among them",
            remedy: "let the stage debian-packages add the essential packages (`base: essential`)")
    }
    return packages
}

/// What must be there before the first package.
private func prepare(_ root: RootDirectory, _ packages: [DebPackage], _ architecture: String) throws {
    // Debian 12 expects whoever makes the system to merge /usr; from Debian 13 on base-files ships the links.
    let ships = packages.contains { package in
        guard package.name == "base-files", case .symlink? = package.tree["bin"]?.kind else { return false }
        return true
    }
    if !ships {
        // As debootstrap and mmdebstrap make them.
        let more = [
            "amd64": ["lib32", "lib64", "libx32"], "i386": ["lib64", "libx32"], "ppc64el": ["lib64"],
            "s390x": ["lib32"],
        ]
        for name in ["bin", "sbin", "lib"] + (more[architecture] ?? []) {
            _ = try root.directory(ByteString("usr/\(name)"))
            try root.handle.makeLink(ByteString(name), to: ByteString("usr/\(name)"))
        }
    }
    root.forget()
    // No service is started while packages are configured.
    try root.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", mode: 0o755)
}
