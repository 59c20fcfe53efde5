import { Component } from '@angular/core'
import { bootstrapApplication } from '@angular/platform-browser'
import * as countersign from 'countersign'
import { address } from '../address.js'
import { conform } from '../conformance.js'

@Component({ selector: 'app-root', template: '<p>A page</p>' })
class App {
  constructor() {
    void conform(countersign, address)
  }
}

void bootstrapApplication(App)
