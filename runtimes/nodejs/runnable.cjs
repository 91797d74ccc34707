'use strict';
/** The function that this instance was specialised for, loaded: its handler, initializer and hooks. */
const { useCompileCache } = require('./compile-cache.cjs');
const { createContext } = require('./context.cjs');
const { LoadError } = require('./function-error.cjs');
const { ModuleLoader, addModulePaths } = require('./module-loader.cjs');
const { isHttpHandler, takesNext } = require('./parameters.cjs');
const { callUser } = require('./user-call.cjs');

class Runnable {
  constructor(specialization, loader, handler, initializer) {
    this.specialization = specialization;
    this.loader = loader;
    this.handler = handler;
    this.initializer = initializer;
    const { handlerType } = specialization;
    this.isHttp = handlerType === 'auto' ? isHttpHandler(handler) : handlerType === 'http';
    this.takesNext = takesNext(handler);
  }

  /** Prepares the process for the function and loads its code. */
  static async load(specialization) {
    const { codePath, layerPath, environment, function: settings } = specialization;
    Object.assign(process.env, environment);
    process.title = `thaw ${settings.name}`;
    process.chdir(codePath);
    addModulePaths(layerPath, codePath);
    useCompileCache(specialization.compileCachePath);
    const loader = new ModuleLoader(codePath);
    const handler = await loader.load(settings.handler);
    const initializer = settings.initializer ? await loader.load(settings.initializer) : undefined;
    return new Runnable(specialization, loader, handler, initializer);
  }

  /** @param done called with (isSuccess, value, isHandled) */
  initialize(done) {
    callUser(this.initializer, [this.instanceContext()], done);
  }

  /** @param hook `preFreeze`, `preStop` or `postThaw` */
  async runHook(hook, enter, done) {
    const name = this.specialization.function[hook];
    let fn;
    try {
      if (!name) throw new LoadError('HandlerNotFound', `no ${hook} hook is configured`);
      fn = await enter(() => this.loader.load(name));
    } catch (error) {
      done(false, error, false);
      return;
    }
    enter(() => callUser(fn, [this.instanceContext()], done));
  }

  /** Nobody's request: the instance itself stands for it. */
  instanceContext() {
    return createContext(this.specialization, { id: this.specialization.instanceId });
  }
}

module.exports = { Runnable };
