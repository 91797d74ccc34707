import { z } from 'zod';
import build from '../../../../runtimes/java/build.json' with { type: 'json' };

/** How the Java shim is compiled and started; its own directory says so, for tests and benchmarks too. */
export const JAVA_BUILD = z
  .object({
    mainClass: z.string(),
    trainingClass: z.string(),
    sources: z.string(),
    names: z.string(),
    compile: z.array(z.string()),
    flags: z.array(z.string()),
    /** Runtimes whose libraries count on reflection into the JDK, which later ones closed. */
    olderRuntimes: z.array(z.string()),
    olderFlags: z.array(z.string()),
  })
  .parse(build);
