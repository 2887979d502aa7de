import ForgeBase
import ForgeStages
import ForgeStore
import ForgeSystem
import Glibc

@main struct Main {
    static func main() {
        let a = CommandLine.arguments
        do {
            if a[1] == "dev" { // re-exec in private namespace
                let c = Command("/proc/self/exe", ["in"] + a[2...], environment: [("PATH", "/usr/bin:/bin")] + (getenv("OFFSET").map { [("OFFSET", String(cString: $0))] } ?? []), directory: "/", output: .descriptor(1), errors: .descriptor(2), namespaces: .private(network: false))
                let r = try c.start().drain()
                print("dev:", r.report)
                exit(r.report.succeeded ? 0 : 1)
            }
            // in <stage> <cache> <scratch> <options> <jobs> <epoch> <out file> name=dir...
            let store = try Store(directory: a[3])
            let options = try JSON(parsing: Files.read(a[5]), file: a[5])
            var inputs: [StageContext.Input] = []
            for s in a[9...] {
                let p = s.split(separator: "=", maxSplits: 1).map(String.init)
                let d: Digest
                if let x = Digest(p[1]) { d = x } else { d = try TreeReader.ingest(directory: p[1], into: store, owner: .ignore).save(in: store) }
                inputs.append(.init(name: p[0], label: p[0], kind: .tree, digest: d))
            }
            try Files.makeDirectories(a[4])
            let start = clock()
            let last = UnsafeMutablePointer<Int>.allocate(capacity: 1); last.pointee = 0
            _ = start
            let ctx = StageContext(store: store, scratch: a[4], inputs: inputs, options: options, epoch: Int64(a[7])!, architecture: "amd64", jobs: Int(a[6])!, clockOffset: getenv("OFFSET").map { String(cString: $0) }, progress: { d, t, u, w in if d == t || d == 0 { var r = rusage(); getrusage(0, &r); var k = rusage(); getrusage(-1, &k); print("progress", d, t, u, w, "self", r.ru_utime.tv_sec*1000+r.ru_utime.tv_usec/1000, r.ru_stime.tv_sec*1000+r.ru_stime.tv_usec/1000, "kids", k.ru_utime.tv_sec*1000+k.ru_utime.tv_usec/1000,k.ru_stime.tv_sec*1000+k.ru_stime.tv_usec/1000) } }, log: { b in _ = b.withUnsafeBytes { write(2, $0.baseAddress, $0.count) } })
            let r: StageResult
            switch a[2] {
            case "rootfs": r = try runRootfs(ctx)
            default: fatalError()
            }
            try store.flush()
            var u = rusage(); getrusage(0, &u); var k = rusage(); getrusage(-1, &k)
            print("cpu ms self", u.ru_utime.tv_sec*1000+u.ru_utime.tv_usec/1000, u.ru_stime.tv_sec*1000+u.ru_stime.tv_usec/1000, "kids", k.ru_utime.tv_sec*1000+k.ru_utime.tv_usec/1000,k.ru_stime.tv_sec*1000+k.ru_stime.tv_usec/1000)
            for o in r.outputs { print(o.name, o.digest) ; if o.kind == .tree { try Files.write(a[8], Tree.load(o.digest, from: store).encoded()) } }
        } catch { print("ERROR", error); exit(1) }
    }
}
