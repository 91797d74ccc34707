/**
 * Where the command line starts, on Node 26 or newer. The compile cache is on before anything else is loaded, since
 * most commands last shorter than compiling their own source would.
 */
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { runCommandLine } = await import('./command-line.ts');
process.exitCode = await runCommandLine(process.argv.slice(2));
