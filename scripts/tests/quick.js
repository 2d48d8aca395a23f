export const QUICK = [{ promise: '', files: ['listener/gate'] }];
