import { render } from 'preact';
import { Frame } from './frame.tsx';
import { App, AppContext } from './state/app-state.ts';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
const app = new App();
app.start();
render(
  <AppContext.Provider value={app}>
    <Frame />
  </AppContext.Provider>,
  root,
);
